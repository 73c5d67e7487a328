import { createInterface } from 'node:readline/promises';
import { DefinitionError } from '@polyvisor/core';
import type { Session } from './session.js';

type Ask = (error: unknown, places: readonly string[]) => Promise<'cleanup' | 'keep'>;

/** Asks a person at a terminal. Refused beforehand where there is none, or a build would wait for ever. */
export function askAboutLeftovers(run: Session): Ask {
  if (!process.stdin.isTTY || run.io.stderr.isTTY !== true) {
    throw new DefinitionError('no-terminal', '--on-error ask needs a terminal to ask at', {
      hint: 'choose --on-error cleanup or --on-error keep',
    });
  }
  return async (error, places) => {
    // Through the renderer, which hides secrets.
    run.emit({
      type: 'log',
      level: 'warn',
      scope: 'build',
      message: error instanceof Error ? error.message : String(error),
    });
    run.renderer.close();
    const lines = createInterface({ input: process.stdin, output: run.io.stderr });
    // At a prompt the terminal gives Ctrl-C to readline; an end of input (Ctrl-D) answers nothing.
    const closed = new Promise<string>((answer) => lines.once('close', () => answer('')));
    lines.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    try {
      const question = `Keep ${places.join(' and ')} to look at? [y/N] `;
      const answer = await Promise.race([lines.question(question, { signal: run.signal }), closed]);
      return /^y(es)?$/i.test(answer.trim()) ? 'keep' : 'cleanup';
    } catch (failure) {
      if (run.signal.aborted) return 'cleanup';
      throw failure;
    } finally {
      lines.close();
    }
  };
}
