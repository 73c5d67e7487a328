import { spawn } from 'node:child_process';
import { EnvironmentError } from '@polyvisor/core';
import type { Session } from './session.js';

/**
 * Runs a command at the person's terminal, to its end. Not through the host, whose programs have no terminal: this one belongs
 * to the terminal's own group of processes, and ends with it.
 */
export function loginShell(run: Session): (login: readonly string[]) => Promise<void> {
  return async ([command = '', ...args]) => {
    run.renderer.close();
    run.io.stderr.write(`\nA shell in the guest; leave it with \`exit\`, and the build goes on to clean up.\n`);
    const child = spawn(command, args, { stdio: 'inherit', signal: run.signal, killSignal: 'SIGHUP' });
    await new Promise<void>((done, fail) => {
      child.once('exit', () => done());
      child.once('error', (error) => {
        if (run.signal.aborted) return done();
        fail(
          new EnvironmentError('shell-failed', `the shell in the guest cannot be started: ${error.message}`, {
            hint: `install ${command}, or choose --on-error keep`,
            cause: error,
          }),
        );
      });
    });
  };
}
