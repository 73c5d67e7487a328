import { createInterface } from 'node:readline/promises';
import type { Answer, Leavings } from '@polyvisor/build';
import { DefinitionError } from '@polyvisor/core';
import type { Session } from './session.js';

type Ask = (error: unknown, leavings: Leavings) => Promise<Answer>;

/** Refused beforehand where there is no terminal, or a build would wait for ever. */
export function needTerminal(run: Session, option: 'ask' | 'shell'): void {
  if (process.stdin.isTTY && run.io.stderr.isTTY === true) return;
  throw new DefinitionError(
    'no-terminal',
    `--on-error ${option} needs a terminal${option === 'ask' ? ' to ask at' : ''}`,
    {
      hint: 'choose --on-error cleanup or --on-error keep',
    },
  );
}

/** Asks a person at a terminal. */
export function askAboutLeftovers(run: Session): Ask {
  return async (error, { places, login }) => {
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
    const keep = places.join(' and ');
    const question =
      login === undefined
        ? `Keep ${keep} to look at? [y/N] `
        : `The guest is still there. Clean up, keep ${keep} to look at, or open a shell in the guest? [C/k/s] `;
    try {
      const answer = await Promise.race([lines.question(question, { signal: run.signal }), closed]);
      return meaning(answer.trim().toLowerCase(), login !== undefined);
    } catch (failure) {
      if (run.signal.aborted) return 'cleanup';
      throw failure;
    } finally {
      lines.close();
    }
  };
}

function meaning(answer: string, canLogIn: boolean): Answer {
  if (/^(?:y|yes|k|keep)$/.test(answer)) return 'keep';
  return canLogIn && /^(?:s|shell)$/.test(answer) ? 'shell' : 'cleanup';
}
