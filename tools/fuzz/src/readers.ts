import type { DiskConverter } from '@polyvisor/core';
import { createHost, type Host } from '@polyvisor/host';

/** Every format that the command loads, and no list of ours. The caller disposes the host. */
export function loadHost(): Promise<Host> {
  return createHost({
    cwd: process.cwd(),
    project: { directory: process.cwd(), plugins: [], definitions: [], variables: [] },
    plugins: [],
    discovery: false,
    official: new URL(import.meta.resolve('polyvisor/package.json')),
    environment: process.env,
    emit: () => undefined,
  });
}

/** Formats whose every file is an image have no reader to speak of: nothing in the file is read but data. */
export function hasStructure(converter: DiskConverter): boolean {
  return converter.id !== 'raw';
}
