import { type Artifact, formatBytes } from '@polyvisor/core';
import { relative } from 'node:path';
import { table } from './table.js';

/** The finished outputs, as a table for people. */
export function artifactTable(artifacts: readonly Artifact[], cwd: string): string {
  return table(
    [
      { title: 'FORMAT' },
      { title: 'DISK', align: 'right' },
      { title: 'FILE', align: 'right' },
      { title: 'STORED', align: 'right' },
      { title: 'SHA-256' },
      { title: 'PATH' },
    ],
    artifacts.map(({ format, size, bytes, stored, sha256, path }) => [
      format,
      formatBytes(size),
      formatBytes(bytes),
      formatBytes(stored),
      sha256,
      shown(path, cwd),
    ]),
  );
}

/** Relative where that is shorter. */
export function shown(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near.startsWith('..') || near === '' ? path : near;
}
