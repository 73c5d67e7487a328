import { expect, it } from 'vitest';
import { artifactTable } from './artifact-table.js';

const artifact = {
  format: 'hyperv-vhd',
  path: '/home/me/artifacts/debian-12-1.0.0-x86_64/debian-12-1.0.0-x86_64-hyperv-vhd.vhd',
  size: 4 * 2 ** 30,
  bytes: 790_077_952,
  stored: 761_745_408,
  sha256: 'af95'.repeat(16),
};

it('is one line an artefact where there is room, and in a pipe', () => {
  for (const columns of [undefined, 200]) {
    const lines = artifactTable([artifact, artifact], '/home/me', columns).split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[1]).toMatch(/^hyperv-vhd {2}4\.00 GiB .* (af95){16} {2}artifacts\/debian-12/);
  }
});

it('fits into a terminal of 80 columns with whole paths and hashes', () => {
  const lines = artifactTable([artifact, artifact], '/home/me', 80).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines.slice(0, 4)).toEqual([
    'FORMAT          DISK       FILE     STORED',
    'hyperv-vhd  4.00 GiB  753.5 MiB  726.5 MiB',
    '  artifacts/debian-12-1.0.0-x86_64/debian-12-1.0.0-x86_64-hyperv-vhd.vhd',
    `  ${artifact.sha256}`,
  ]);
  expect(lines).toHaveLength(7);
});
