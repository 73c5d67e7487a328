import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity } from '@polyvisor/core';
import { createTestContext, sampleAppliance } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GPT_TAIL_SECTORS, guidBytes, PARTITION_TYPE, writeGpt } from './gpt.js';
import { planLayout } from './layout.js';

const context = createTestContext({ path: '/usr/sbin:/usr/bin:/sbin:/bin' });
const layout = planLayout(sampleAppliance, createIdentity('gpt'));

describe('the partition table', () => {
  let directory = '';
  let disk = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    disk = join(directory, 'disk');
    const { head, tail } = writeGpt(layout.sectors, layout.diskGuid, layout.table);
    const file = await open(disk, 'wx');
    await file.truncate(layout.sectors * 512);
    await file.write(head, 0, head.length, 0);
    await file.write(tail, 0, tail.length, (layout.sectors - GPT_TAIL_SECTORS) * 512);
    await file.close();
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('has no faults in the eyes of sgdisk', async () => {
    expect((await context.run('sgdisk', ['--verify', disk])).stdout).toContain('No problems found');
  });

  it('reads as it was meant in the eyes of sfdisk', async () => {
    const { stdout } = await context.run('sfdisk', ['--json', disk]);
    const { partitiontable } = JSON.parse(stdout) as {
      partitiontable: {
        id: string;
        partitions: { type: string; start: number; size: number; name: string; uuid: string }[];
      };
    };
    expect(partitiontable.id.toLowerCase()).toBe(layout.diskGuid);
    expect(partitiontable.partitions.map(({ type, start, name }) => [type.toLowerCase(), start, name])).toEqual([
      [PARTITION_TYPE.rootX86, 135168, 'root'],
      [PARTITION_TYPE.biosBoot, 2048, 'BIOS boot'],
      [PARTITION_TYPE.efiSystem, 4096, 'EFI system'],
    ]);
  });

  it('keeps boot code out of the table', () => {
    const { head } = writeGpt(layout.sectors, layout.diskGuid, layout.table, new Uint8Array(512).fill(0xcc));
    expect([...head.subarray(438, 442)]).toEqual([0xcc, 0xcc, 0, 0]);
    expect([...head.subarray(510, 512)]).toEqual([0x55, 0xaa]);
  });

  it('writes GUIDs with their first three groups turned around', () => {
    expect(Buffer.from(guidBytes(PARTITION_TYPE.efiSystem)).toString('hex')).toBe('28732ac11ff8d211ba4b00a0c93ec93b');
  });
});
