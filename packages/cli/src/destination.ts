import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { DefinitionError, type Destination } from '@polyvisor/core';
import type { Session } from './session.js';

/** What stands for standard output after -o. */
export const STDOUT = '-';

/** Where the outputs of a conversion go: standard output, a block device, or files, which `names` names. */
export async function destinationOf(
  { io }: Session,
  output: string | undefined,
  names: (given: string | undefined) => Promise<readonly string[]>,
): Promise<{ readonly destination: Destination; readonly paths: readonly string[] }> {
  if (output === STDOUT) {
    if (io.stdout.isTTY === true) {
      throw new DefinitionError('output-terminal', 'standard output is a terminal, which cannot show an image', {
        hint: 'send it into a pipe or a file, or name a file with -o',
      });
    }
    return { destination: { kind: 'stream', stream: io.stdout }, paths: ['standard output'] };
  }
  const path = output === undefined ? undefined : resolve(io.cwd, output);
  const stats = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path !== undefined && stats?.isBlockDevice() === true) return { destination: { kind: 'device' }, paths: [path] };
  return { destination: { kind: 'file' }, paths: await names(output) };
}
