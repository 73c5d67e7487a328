import type { Emit, Typing } from '@polyvisor/core';
import { expandCommand, type Values } from '../answers/index.js';
import { parseKeystrokes } from '../keys/parse.js';
import type { Step } from '../keys/step.js';
import { typeSteps } from '../keys/type-steps.js';
import type { Attended } from './attended.js';

/** The boot command with its values in it, read. Values are typed as they are, whatever the notation would make of them. */
export function bootKeystrokes({ command, layout }: Typing, values: Values, name: string): readonly Step[] {
  const place = { file: `boot command of ${name}` };
  const escape = (value: string) => value.replaceAll('<', '<lt>');
  return parseKeystrokes(
    command.map((text) => expandCommand(text, values, place, escape)),
    { layout, file: place.file },
  );
}

/** Waits for the boot menu, then types. */
export async function typeBootCommand(
  attended: Attended,
  steps: readonly Step[],
  {
    wait,
    interval,
    ...options
  }: Pick<Typing, 'wait' | 'interval'> & {
    readonly slowdown: number;
    readonly emit: Emit;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  await typeSteps(attended.machine, [{ kind: 'wait', milliseconds: wait }, ...steps], {
    console: attended.console.text,
    interval,
    stage: 'install',
    ...options,
  });
}
