import type { Finding, ImageFile, Patch } from '@polyvisor/core';
import { memoryDisk, memoryFile, noise, write } from '@polyvisor/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { HEADER_0, HEADER_1 } from './layout.js';
import { encodeUuid, NULL_UUID } from './uuid.js';
import { vdi } from './vdi.js';

const MiB = 2 ** 20;
const signal = new AbortController().signal;
const SOME = '11111111-2222-3333-4444-555555555555';

let sample: Buffer;
beforeAll(async () => {
  const disk = memoryDisk(4 * MiB, [{ offset: 0, bytes: noise(MiB + 512) }]);
  sample = Buffer.from((await write(vdi, disk, {})).sink.bytes());
});

type Change = Readonly<Record<number, number | bigint | string>>;

function changed(fields: Change): Buffer {
  const bytes = Buffer.from(sample);
  for (const [offset, value] of Object.entries(fields)) {
    if (typeof value === 'string') encodeUuid(value).copy(bytes, Number(offset));
    else if (typeof value === 'bigint') bytes.writeBigUInt64LE(value, Number(offset));
    else bytes.writeUInt32LE(value, Number(offset));
  }
  return bytes;
}

async function check(file: ImageFile): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const finding of vdi.check?.(file, { signal }) ?? []) findings.push(finding);
  return findings;
}

async function repaired(bytes: Uint8Array): Promise<{ bytes: Buffer; patches: Patch[] }> {
  const patches: Patch[] = [];
  const mended = Buffer.from(bytes);
  for await (const patch of vdi.repair?.(memoryFile(bytes), signal) ?? []) {
    patches.push(patch);
    Buffer.from(patch.bytes).copy(mended, patch.offset);
  }
  return { bytes: mended, patches };
}

/** What to break, the one rule that then fails, who minds, and whether it can be mended. */
const RULES: readonly (readonly [Change, string, readonly string[], boolean])[] = [
  [{ 64: 0 }, 'vdi-signature', ['virtualbox', 'kvm'], false],
  [{ 68: 0x20000 }, 'vdi-version', ['virtualbox', 'kvm'], false],
  [{ 68: 0x10002 }, 'vdi-version-minor', ['kvm'], false],
  [{ [HEADER_1.headerSize]: 0 }, 'vdi-header-size', ['virtualbox'], true],
  [{ [HEADER_1.imageId]: NULL_UUID }, 'vdi-image-uuid-null', ['virtualbox'], true],
  [{ [HEADER_1.modificationId]: NULL_UUID }, 'vdi-modification-uuid-null', ['virtualbox'], true],
  [{ [HEADER_1.type]: 7 }, 'vdi-type', ['virtualbox'], false],
  [{ [HEADER_1.flags]: 2 }, 'vdi-flags', ['virtualbox'], false],
  [{ [HEADER_1.type]: 4 }, 'vdi-link-missing', ['virtualbox'], false],
  [{ [HEADER_1.type]: 4, [HEADER_1.linkId]: SOME }, 'vdi-parent', ['kvm'], false],
  [{ [HEADER_1.linkId]: SOME }, 'vdi-link-unexpected', ['kvm'], false],
  [{ [HEADER_1.parentModificationId]: SOME }, 'vdi-link-unexpected', ['kvm'], false],
  [
    { [HEADER_1.blockExtra]: 512, [HEADER_1.allocated]: 1, [MiB + 4]: 0xffff_ffff },
    'vdi-block-extra-ignored',
    [],
    false,
  ],
  [{ [HEADER_1.diskSize]: BigInt(4 * MiB - 1) }, 'vdi-disk-size-odd', [], true],
  [{ [HEADER_1.diskSize]: BigInt(4 * MiB + 512) }, 'vdi-map-too-short', ['virtualbox', 'kvm'], false],
  [{ [HEADER_1.diskSize]: BigInt(3 * MiB) }, 'vdi-map-surplus', [], false],
  [{ [HEADER_1.legacySectorSize]: 4096 }, 'vdi-legacy-sector-size', ['kvm'], true],
  [{ [HEADER_1.logicalSectorSize]: 0 }, 'vdi-sector-size', ['virtualbox'], true],
  [{ [HEADER_1.dataOffset]: MiB + 4 }, 'vdi-data-offset', ['virtualbox'], false],
  [{ [HEADER_1.dataOffset]: 2 * MiB - 4 }, 'vdi-data-alignment', ['kvm'], false],
  [{ [HEADER_1.allocated]: 1 }, 'vdi-allocated-count', [], true],
  [{ [MiB + 4]: 0 }, 'vdi-block-twice', [], false],
];

describe('checking a VDI', () => {
  it('finds nothing in a sound one, dynamic or fixed', async () => {
    expect(await check(memoryFile(sample))).toEqual([]);
    const { sink } = await write(vdi, memoryDisk(4 * MiB, []), { subformat: 'fixed' });
    expect(await check(sink.file())).toEqual([]);
    expect((await repaired(sample)).patches).toEqual([]);
  });

  it.each(RULES.map(([change, ...rest]) => [...rest, change] as const))(
    'finds %s',
    async (rule, refusedBy, mendable, change) => {
      // A rule that follows from another one is told as well, so it need not be the only finding.
      const findings = await check(memoryFile(changed(change)));
      const finding = findings.find((each) => each.rule === rule);
      expect(finding, findings.map((each) => each.rule).join()).toMatchObject({ refusedBy });
      expect(finding?.offset).toBeDefined();
      if (rule !== 'vdi-block-twice') expect(findings).toHaveLength(1);
      const { bytes, patches } = await repaired(changed(change));
      expect(patches.length > 0).toBe(mendable);
      if (mendable) expect(await check(memoryFile(bytes))).toEqual([]);
    },
  );

  const SEVERAL: readonly (readonly [Change, readonly string[]])[] = [
    [{ [HEADER_1.blockSize]: 0 }, ['vdi-block-size', 'vdi-map-too-short']],
    [{ [HEADER_1.blockSize]: 3 * MiB }, ['vdi-block-size', 'vdi-map-surplus', 'vdi-block-outside']],
    [{ [HEADER_1.blockSize]: 256 }, ['vdi-block-size', 'vdi-map-too-short']],
    [{ [HEADER_1.blockSize]: 2 * MiB }, ['vdi-block-size-foreign', 'vdi-map-surplus', 'vdi-block-outside']],
    [{ [HEADER_1.blockExtra]: 3 }, ['vdi-block-extra', 'vdi-block-outside']],
    [{ [HEADER_1.diskSize]: 0n }, ['vdi-disk-empty', 'vdi-map-surplus']],
    [
      { [HEADER_1.blocks]: 0x2000_0000 },
      ['vdi-map-surplus', 'vdi-map-too-long', 'vdi-data-offset', 'vdi-map-truncated'],
    ],
    [
      { [HEADER_1.mapOffset]: 8 },
      ['vdi-map-offset', 'vdi-block-outside', 'vdi-allocated-count', 'vdi-block-beyond-count'],
    ],
    [{ [HEADER_1.mapOffset]: MiB + 4 }, ['vdi-map-alignment']],
    [{ [HEADER_1.allocated]: 5 }, ['vdi-allocated-excess', 'vdi-allocated-count']],
    [{ [MiB + 4]: 2 }, ['vdi-block-outside', 'vdi-block-beyond-count']],
  ];
  it.each(SEVERAL.map(([change, rules]) => [rules, change] as const))('finds %j', async (rules, change) => {
    const found = (await check(memoryFile(changed(change)))).map(({ rule }) => rule);
    expect([...found].sort()).toEqual([...rules].sort());
  });

  it('finds a file cut short, wherever', async () => {
    const rules = async (length: number) =>
      (await check(memoryFile(sample.subarray(0, length)))).map(({ rule }) => rule);
    expect(await rules(10)).toEqual(['vdi-signature']);
    expect(await rules(300)).toEqual(['vdi-header-truncated']);
    expect(await rules(1000)).toEqual(['vdi-map-truncated']);
    expect(await rules(3 * MiB)).toEqual(['vdi-block-outside']);
  });

  it('knows the old version', async () => {
    const old = Buffer.alloc(HEADER_0.end + 4 + MiB);
    sample.copy(old, 0, 0, 68);
    old.writeUInt32LE(2, 68);
    old.writeUInt32LE(1, HEADER_0.type);
    old.writeUInt32LE(512, HEADER_0.legacySectorSize);
    old.writeBigUInt64LE(BigInt(MiB), HEADER_0.diskSize);
    old.writeUInt32LE(MiB, HEADER_0.blockSize);
    old.writeUInt32LE(1, HEADER_0.blocks);
    old.writeUInt32LE(1, HEADER_0.allocated);
    for (const place of [HEADER_0.imageId, HEADER_0.modificationId]) encodeUuid(SOME).copy(old, place);
    expect((await check(memoryFile(old))).map(({ rule }) => rule)).toEqual(['vdi-version-old']);
  });

  it('mends several things at once, and nothing that would need a guess', async () => {
    const { bytes } = await repaired(
      changed({ [HEADER_1.allocated]: 0, [HEADER_1.imageId]: NULL_UUID, [HEADER_1.logicalSectorSize]: 1 }),
    );
    expect(await check(memoryFile(bytes))).toEqual([]);
    // With a gap among the blocks no count is right for VirtualBox and QEMU alike.
    const gap = Buffer.concat([changed({ [HEADER_1.allocated]: 9, [MiB + 4]: 2 }), Buffer.alloc(MiB)]);
    expect((await repaired(gap)).patches).toEqual([]);
    for (const broken of [Buffer.alloc(100), sample.subarray(0, 300), changed({ 68: 9 })])
      expect((await repaired(broken)).patches).toEqual([]);
  });
});
