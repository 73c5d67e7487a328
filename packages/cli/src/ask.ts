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
    const { isCancel, select } = await import('@clack/prompts');
    run.renderer.close();
    const answer = await select({
      message: `${error instanceof Error ? error.message : String(error)}\nWhat about ${places.join(' and ')}?`,
      options: [
        { value: 'cleanup', label: 'remove them' },
        { value: 'keep', label: 'keep them to look at' },
      ],
      signal: run.signal,
      output: run.io.stderr,
    });
    return !isCancel(answer) && answer === 'keep' ? 'keep' : 'cleanup';
  };
}
