import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Signals that come this close together are one: npm passes on what the terminal has already sent to us. */
const SAME_SIGNAL_MS = 500;

let child;
let lastSignal = { name: '', at: 0 };

/** Passes signals to the running child and outlives it, so that the child can clean up and its exit code is ours. */
export function forwardSignals() {
  for (const name of FORWARDED) {
    process.on(name, () => {
      const repeated = lastSignal.name === name && Date.now() - lastSignal.at < SAME_SIGNAL_MS;
      lastSignal = { name, at: Date.now() };
      if (child === undefined) process.exit(128 + constants.signals[name]);
      // Ctrl-C on a terminal reaches the child by itself; a second one would mean "at once" to it.
      if (repeated || (name === 'SIGINT' && process.stdin.isTTY)) return;
      child.kill(name);
    });
  }
}

/** Whether a signal asked the whole task to stop: what is still to come is then not started. */
export function interrupted() {
  return lastSignal.name !== '';
}

/** The exit code of a task that a signal ended. */
export function interruptionCode() {
  return 128 + constants.signals[lastSignal.name];
}

/** Runs a command with our own input and output. Returns its exit code; 128 and the signal's number when one ended it. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    child = spawn(command, args, { stdio: 'inherit', ...options });
    child.once('error', (error) => {
      child = undefined;
      reject(error);
    });
    child.once('close', (code, signal) => {
      child = undefined;
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** Runs a command that asks nothing. Returns its exit code and all it wrote; 127 when there is no such command. */
export function capture(command, args) {
  return new Promise((resolve) => {
    let output = '';
    const done = (code) => {
      child = undefined;
      resolve({ code, output });
    };
    child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', () => done(127));
    child.once('close', (code, signal) => done(code ?? 128 + constants.signals[signal]));
  });
}
