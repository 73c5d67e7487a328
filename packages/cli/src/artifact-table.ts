import { type Artifact, formatBytes } from '@polyvisor/core';
import { relative } from 'node:path';
import { table } from './table.js';

/**
 * The finished outputs, as a table for people. Where it is wider than the terminal, path and hash get lines of their own:
 * a wrapped table can be neither read nor copied from.
 */
export function artifactTable(artifacts: readonly Artifact[], cwd: string, columns = Infinity): string {
  const sizes = [
    { title: 'FORMAT' },
    { title: 'DISK', align: 'right' },
    { title: 'FILE', align: 'right' },
    { title: 'STORED', align: 'right' },
  ] as const;
  const rows = artifacts.flatMap(({ format, size, files = [], ...main }) =>
    // A file beside the main one has no format and no disk of its own.
    [main, ...files].map(({ bytes, stored, sha256, path }, index) => ({
      sizes: [
        index === 0 ? format : '  with',
        index === 0 ? formatBytes(size) : '',
        formatBytes(bytes),
        formatBytes(stored),
      ],
      rest: [sha256, shown(path, cwd)],
    })),
  );
  const wide = table(
    [...sizes, { title: 'SHA-256' }, { title: 'PATH' }],
    rows.map((row) => [...row.sizes, ...row.rest]),
  );
  if (wide.split('\n').every((line) => line.length <= columns)) return wide;
  const narrow = table(
    sizes,
    rows.map((row) => row.sizes),
  ).split('\n');
  const lines = rows.map(({ rest: [sha256, path] }, index) => [narrow[index + 1], `  ${path}`, `  ${sha256}`]);
  return [narrow[0], ...lines.flat()].join('\n');
}

/** Relative where that is shorter. */
export function shown(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near.startsWith('..') || near === '' ? path : near;
}
