import type { Finding } from '@polyvisor/core';
import { memoryFile } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { RULES, type Rule, type RuleName } from './rules.js';
import {
  AT,
  DATA_WRITE_GUID,
  encodeEntry,
  inItem,
  inRegion,
  locatorOf,
  putEntry,
  putItem,
  putRegion,
  sampleImage,
  sealed,
  withLog,
} from './sample-image.js';
import { vhdx } from './vhdx.js';

const MiB = 2 ** 20;

async function check(image: Buffer): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const { signal } = new AbortController();
  for await (const finding of vhdx.check?.(memoryFile(image), { signal }) ?? []) findings.push(finding);
  return findings;
}

const both = (tables: readonly [number, number], work: (at: number) => void) => {
  for (const at of tables) work(at);
};
const HEADERS = [AT.header1, AT.header2] as const;
const TABLES = [AT.table1, AT.table2] as const;

const locator = locatorOf({ parent_linkage: `{${DATA_WRITE_GUID}}`, relative_path: 'p.vhdx' });

/** A child whose one block is partially present. */
function child(bitmap: readonly [state: number, mib: number], mib = 6): Buffer {
  const bat: [number, number][] = Array.from({ length: 4097 }, () => [0, 0]);
  bat[0] = [7, 5];
  bat[4096] = [...bitmap];
  return sampleImage({ flags: 2, bat, mib, locator });
}

/** Makes an image that breaks one rule. Those without an entry in `ALSO` break nothing else. */
const BROKEN: Readonly<Record<RuleName, () => Buffer>> = {
  'vhdx-identifier': () => changed((image) => image.write('vhdxFile', 0)),
  'vhdx-header': () => changed((image) => both(HEADERS, (at) => image.writeUInt8(1, at + 2000)), 'unsealed'),
  'vhdx-header-copy': () => changed((image) => image.writeUInt8(1, AT.header1 + 2000), 'unsealed'),
  'vhdx-header-sequence': () => changed((image) => image.copy(image, AT.header2, AT.header1, AT.header1 + 4096)),
  'vhdx-header-ambiguous': () =>
    changed((image) => {
      image.copy(image, AT.header2, AT.header1, AT.header1 + 4096);
      image.writeUInt8(1, AT.header2 + 40);
    }),
  'vhdx-version': () => changed((image) => both(HEADERS, (at) => image.writeUInt16LE(2, at + 66))),
  'vhdx-log-place': () => changed((image) => both(HEADERS, (at) => image.writeUInt32LE(512, at + 72))),
  'vhdx-log-dirty': () => withLog(sampleImage(), [{ sequence: 1, position: 0, tail: 0, changes: [] }]),
  'vhdx-log-lost': () => withLog(sampleImage(), []),
  'vhdx-log-size': () => {
    const image = withLog(sampleImage(), []);
    const claims = encodeEntry({ sequence: 1, position: 0, tail: 0, changes: [] }, image.length);
    claims.writeUInt32LE(MiB, 8);
    for (let at = 0; at < MiB; at += 4096) claims.copy(image, AT.log + at);
    return image;
  },
  'vhdx-log-target': () =>
    withLog(sampleImage(), [{ sequence: 1, position: 0, tail: 0, changes: [{ offset: 0, zeros: 4096 }] }]),
  'vhdx-log-truncated': () =>
    withLog(sampleImage(), [{ sequence: 1, position: 0, tail: 0, changes: [], flushed: 7 * MiB }]),
  'vhdx-region-table': () => changed((image) => both(TABLES, (at) => image.writeUInt8(1, at + 9000)), 'unsealed'),
  'vhdx-region-table-first': () => changed((image) => image.writeUInt8(1, AT.table1 + 9000), 'unsealed'),
  'vhdx-region-table-second': () => changed((image) => image.writeUInt8(1, AT.table2 + 9000), 'unsealed'),
  'vhdx-region-tables-differ': () => changed((image) => image.writeUInt8(1, AT.table2 + 9000)),
  'vhdx-region-count': () => changed((image) => both(TABLES, (at) => image.writeUInt32LE(2048, at + 8))),
  'vhdx-region-place': () => thirdRegion({ offset: 6 * MiB }),
  'vhdx-region-length': () => changed((image) => both(TABLES, (at) => image.writeUInt32LE(512, inRegion(at, 0, 24)))),
  'vhdx-region-overlap': () => thirdRegion({ offset: AT.log }),
  'vhdx-region-duplicate': () =>
    thirdRegion({ offset: 5 * MiB, guid: '2dc27766-f623-4200-9d64-115e9bfd4a08', required: 1 }),
  'vhdx-region-unknown': () => thirdRegion({ offset: 5 * MiB, required: 1 }),
  'vhdx-region-optional': () => changed((image) => both(TABLES, (at) => image.writeUInt32LE(0, inRegion(at, 0, 28)))),
  'vhdx-region-missing': () => changed((image) => both(TABLES, (at) => image.writeUInt32LE(1, at + 8))),
  'vhdx-metadata-table': () => changed((image) => image.write('metaData', AT.metadata)),
  'vhdx-item-place': () => sixthItem({ offset: 65_535 }),
  'vhdx-item-length': () => changed((image) => image.writeUInt32LE(8, inItem(4, 20))),
  'vhdx-item-overlap': () => sixthItem({ offset: 65_536 + 35 }),
  'vhdx-item-duplicate': () => sixthItem({ guid: 'beca12ab-b2e6-4523-93ef-c309e000c746', flags: 6, length: 16 }),
  'vhdx-item-unknown': () => sixthItem({ flags: 4 }),
  'vhdx-item-flags': () => changed((image) => image.writeUInt32LE(4, inItem(1, 24))),
  'vhdx-item-missing': () =>
    changed((image) => {
      image.writeUInt8(1, inItem(1, 0)); // now an item that nobody knows,
      image.writeUInt32LE(0, inItem(1, 24)); // nor needs
    }),
  'vhdx-item-absent': () => changed((image) => image.writeUInt16LE(4, AT.metadata + 10)),
  'vhdx-block-size': () => changed((image) => image.writeUInt32LE(3 * MiB, AT.items)),
  'vhdx-file-flags': () => changed((image) => image.writeUInt32LE(4, AT.items + 4)),
  'vhdx-disk-size': () => changed((image) => image.writeUInt32LE(4 * MiB + 1, AT.items + 8)),
  'vhdx-logical-sector': () => changed((image) => image.writeUInt32LE(0, AT.items + 32)),
  'vhdx-logical-sector-4096': () => changed((image) => image.writeUInt32LE(4096, AT.items + 32)),
  'vhdx-physical-sector': () => changed((image) => image.writeUInt32LE(1024, AT.items + 36)),
  'vhdx-differencing': () => child([6, 4]),
  'vhdx-parent-locator': () => sampleImage({ flags: 2 }),
  'vhdx-bat-size': () => changed((image) => image.writeUInt32LE(512, AT.items + 12)),
  'vhdx-bat-state': () => changed((image) => putEntry(image, 2, 7, 0)),
  'vhdx-bat-state-draft': () => changed((image) => putEntry(image, 2, 5, 0)),
  'vhdx-bat-place': () => changed((image) => putEntry(image, 0, 6, 6)),
  'vhdx-bat-overlap': () => changed((image) => putEntry(image, 0, 6, 4)),
  'vhdx-bat-reserved': () => changed((image) => image.writeUInt8(0x0e, AT.bat)),
  'vhdx-bat-bitmap-unused': () => {
    const bat: [number, number][] = Array.from({ length: 18 }, () => [0, 0]);
    bat[16] = [6, 4];
    return sampleImage({ size: 17 * 256 * MiB, blockSize: 256 * MiB, bat, mib: 4 });
  },
  'vhdx-bat-bitmap-state': () => child([1, 4]),
  'vhdx-bat-bitmap-missing': () => child([0, 0]),
  'vhdx-block-cut': () => sampleImage({ size: MiB, blockSize: 2 * MiB, bat: [[6, 4]], mib: 5 }),
};

/** What cannot be broken without another rule. */
const ALSO: Partial<Record<RuleName, readonly RuleName[]>> = {
  'vhdx-item-length': ['vhdx-item-absent'],
  'vhdx-parent-locator': ['vhdx-differencing'],
  'vhdx-bat-bitmap-state': ['vhdx-differencing'],
  'vhdx-bat-bitmap-missing': ['vhdx-differencing'],
};

function changed(mutate: (image: Buffer) => void, seal: 'sealed' | 'unsealed' = 'sealed'): Buffer {
  const image = sampleImage();
  mutate(image);
  return seal === 'sealed' ? sealed(image) : image;
}

function thirdRegion(region: { offset: number; guid?: string; required?: number }): Buffer {
  return changed((image) => {
    putEntry(image, 0, 0, 0); // whose place is free now
    both(TABLES, (at) => {
      image.writeUInt32LE(3, at + 8);
      putRegion(image, at, 2, { guid: '11111111-1111-4111-8111-111111111111', required: 0, ...region });
    });
  });
}

function sixthItem(item: { guid?: string; offset?: number; length?: number; flags?: number }): Buffer {
  return changed((image) => {
    image.writeUInt16LE(6, AT.metadata + 10);
    putItem(image, 5, { guid: '11111111-1111-4111-8111-111111111111', offset: 65_600, length: 4, flags: 0, ...item });
  });
}

describe('check', () => {
  it('finds nothing in sound images', async () => {
    expect(await check(sampleImage())).toEqual([]);
  });

  for (const name of Object.keys(RULES) as RuleName[]) {
    it(`tells ${name}, and reading does as it says`, async () => {
      const image = BROKEN[name]();
      const findings = await check(image);
      const rules = new Set(findings.map(({ rule }) => rule));
      expect([...rules].sort()).toEqual([name, ...(ALSO[name] ?? [])].sort());
      const { severity, refusedBy, reading }: Rule = RULES[name];
      const finding = findings.find(({ rule }) => rule === name);
      expect(finding).toMatchObject({ severity, refusedBy, offset: expect.any(Number) as number });

      const opening = vhdx.open(memoryFile(image, 'evil.vhdx'));
      if (reading === 'refuse') {
        const code = expect.stringMatching(/^vhdx-/) as string;
        await expect(opening).rejects.toMatchObject({ code, file: 'evil.vhdx', offset: expect.any(Number) as number });
        if (ALSO[name] === undefined) await expect(opening).rejects.toMatchObject({ code: name });
      } else {
        expect((await opening).warnings).toEqual(reading === 'warn' ? [finding?.message] : undefined);
      }
    });
  }

  it('tells a few of millions of findings, and their number', async () => {
    const image = sampleImage({ size: 64 * 1024 * MiB, bat: [] });
    for (let index = 0; index < 1000; index++) putEntry(image, index, 4, 0);
    const findings = await check(image);
    expect(findings.length).toBe(33);
    expect(findings.at(-1)).toMatchObject({ rule: 'vhdx-bat-state', message: 'and 968 more of this kind' });
  });

  it('goes on after a flaw that leaves the rest readable', async () => {
    const image = sampleImage();
    image.writeUInt8(1, AT.header2 + 2000);
    image.writeUInt8(1, AT.table1 + 9000);
    image.writeUInt32LE(1024, AT.items + 36);
    putEntry(image, 1, 6, 5);
    expect((await check(image)).map(({ rule }) => rule)).toEqual([
      'vhdx-header-copy',
      'vhdx-region-table-first',
      'vhdx-physical-sector',
      'vhdx-bat-overlap',
    ]);
  });

  it('has an error for every file that is cut short', async () => {
    const image = sampleImage();
    for (let length = 0; length < image.length; length += 64 * 1024 + 512) {
      const findings = await check(image.subarray(0, length));
      expect(findings.some(({ severity }) => severity === 'error')).toBe(true);
    }
  });
});

describe('payload blocks', () => {
  it.each<[string, readonly (readonly [number, number])[], string]>([
    ['at the same place', [[6, 4], [6, 4]], 'vhdx-bat-overlap'], // prettier-ignore
    ['in the first MiB', [[6, 0]], 'vhdx-bat-place'],
    ['in the log', [[6, 1]], 'vhdx-bat-overlap'],
    ['in the metadata', [[6, 2]], 'vhdx-bat-overlap'],
    ['in the BAT', [[6, 3]], 'vhdx-bat-overlap'],
    ['behind the end', [[6, 6]], 'vhdx-bat-place'],
    ['behind all ends', [[6, 2 ** 43]], 'vhdx-bat-place'],
    ['in state 4', [[4, 4]], 'vhdx-bat-state'],
    ['partially present without a parent', [[7, 4]], 'vhdx-bat-state'],
  ])('%s are refused', async (_, bat, code) => {
    await expect(vhdx.open(memoryFile(sampleImage({ bat })))).rejects.toMatchObject({ code });
  });

  it('that overlap in part are refused', async () => {
    const image = sampleImage({ size: 8 * MiB, blockSize: 2 * MiB, bat: [[6, 4], [6, 5]], mib: 7 }); // prettier-ignore
    await expect(vhdx.open(memoryFile(image))).rejects.toMatchObject({ code: 'vhdx-bat-overlap' });
  });

  it('at the place of a sector bitmap are refused', async () => {
    await expect(vhdx.open(memoryFile(child([6, 5])))).rejects.toMatchObject({ code: 'vhdx-bat-overlap' });
  });
});
