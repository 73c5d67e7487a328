import { spawn } from 'node:child_process';

const running = new Set();

/** Ends what runs, with everything it started. */
export function killAll() {
  for (const child of running) {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  }
}

/** Runs a program that asks nothing, in a process group of its own; resolves to what it printed, rejects when it fails. */
export function output(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      ...options,
      env: { ...process.env, LC_ALL: 'C.UTF-8', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    const text = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) child[stream].setEncoding('utf8').on('data', (part) => (text[stream] += part));
    child.once('error', (error) => {
      running.delete(child);
      reject(new Error(`${command} cannot be started: ${error.message}`));
    });
    child.once('close', (code, signal) => {
      running.delete(child);
      if (code === 0) return resolve(text.stdout);
      const last = (text.stderr || text.stdout).trim().split('\n').slice(-8).join('\n  ');
      reject(new Error(`${command} ${args.slice(0, 4).join(' ')} ended with ${code ?? signal}:\n  ${last}`));
    });
  });
}
