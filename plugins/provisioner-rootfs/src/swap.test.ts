import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestContext } from '@polyvisor/testkit';
import { expect, it } from 'vitest';
import { swapHeader } from './swap.js';

it('makes a swap area that blkid knows by its UUID and label', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
  try {
    const uuid = '11111111-2222-8333-8444-555555555555';
    const bytes = 2 ** 20;
    const area = new Uint8Array(bytes);
    area.set(swapHeader(bytes, uuid, 'swap'));
    await writeFile(join(directory, 'swap'), area);
    const context = createTestContext({ path: '/usr/sbin:/usr/bin:/sbin:/bin' });
    const { stdout } = await context.run('blkid', ['--probe', '--output', 'export', join(directory, 'swap')]);
    expect(stdout).toContain(`UUID=${uuid}`);
    expect(stdout).toContain('LABEL=swap');
    expect(stdout).toContain('TYPE=swap');
  } finally {
    await rm(directory, { recursive: true });
  }
});
