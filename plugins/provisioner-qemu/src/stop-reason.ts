import { EnvironmentError, type StopReason } from '@polyvisor/core';
import type { QemuExit, QemuHalt } from '@polyvisor/qemu';

/** Why the machine does not run any more. `asked`: we ended it. */
export function reasonOfExit({ shutdown, status, words }: QemuExit, asked: boolean): StopReason {
  if (shutdown === 'guest-shutdown') return { kind: 'off', words };
  if (shutdown === 'guest-reset') return { kind: 'restarted', words };
  if (asked) return { kind: 'ended', words };
  const how = shutdown === undefined ? status : `${shutdown}, ${status}`;
  return { kind: 'died', words: words === '' ? `QEMU ended (${how})` : `${words} (${how})` };
}

/** Why the machine cannot go on with its guest. */
export function reasonOfHalt({ status, words }: QemuHalt): StopReason {
  return { kind: 'halted', words: words === '' ? status : `${status}: ${words}` };
}

/** Why a machine could not be started, from what QEMU said. */
export function startError(name: string, disk: string, { status, words }: QemuExit): EnvironmentError {
  const said = words === '' ? `it ended with ${status} and said nothing` : words;
  if (/Failed to get .*lock/.test(words)) {
    return new EnvironmentError('qemu-disk-in-use', `another program uses an image of ${name}: ${said}`, {
      hint: `end it, then start again; \`lsof ${disk}\` shows who has the disk open`,
    });
  }
  if (/Cannot allocate memory|cannot set up guest memory/i.test(words)) {
    return new EnvironmentError('qemu-memory', `there is not enough memory for ${name}: ${said}`, {
      hint: 'lower `memory` in the definition, or end other programs',
    });
  }
  return new EnvironmentError('qemu-start-failed', `QEMU did not start ${name}: ${said}`, {
    hint: 'is something wrong with the options `arguments`, `machine`, `cpu` or `display`? --verbose shows the command',
  });
}
