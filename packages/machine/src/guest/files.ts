import { basename } from 'node:path';
import type { Work } from './work.js';

/** Copies the definition's files into the guest, in order. */
export async function copyFiles({ appliance, guest, emit, signal }: Work): Promise<void> {
  for (const { from, to, mode, owner } of appliance.files) {
    emit({ type: 'waiting', stage: 'customise', message: `copying ${basename(from)} to ${to}` });
    await guest.upload(from, to, {
      owner,
      ...(mode === undefined ? {} : { mode }),
      onProgress: (done, total) => emit({ type: 'progress', stage: 'customise', done, total, unit: 'bytes' }),
      signal,
    });
  }
}
