import type { Finding, ImageFile } from '@polyvisor/core';
import { error, warning } from './finding.js';
import type { SparseHeader } from './header-reader.js';
import { GRAIN_ABSENT, GRAIN_ZERO, HEADER, MARKER, SECTOR } from './layout.js';
import { readAt } from './refusal.js';
import { GrainPlaces } from './grain-places.js';
import { readDirectory, TableMemory, type Tables } from './table-reader.js';

export interface TableRules {
  readonly file: ImageFile;
  readonly header: SparseHeader;
  readonly zeroedGrains: boolean;
  readonly signal: AbortSignal;
}

/** Rules about the directories, the tables and the places of grains. Of streams, the marker of every grain is read. */
export async function* checkTables(rules: TableRules): AsyncGenerator<Finding> {
  const { file, header } = rules;
  const primary = yield* openTables(rules, header.directory, 'vmdk-directory');
  if (header.redundantDirectory !== undefined) {
    const copy = yield* openTables(rules, header.redundantDirectory, 'vmdk-redundant-directory');
    if (primary !== undefined && copy !== undefined) yield* compare(rules, primary, copy);
  }
  if (primary === undefined) return;
  const grainSize = header.grainSectors * SECTOR;
  const places = new GrainPlaces(header.grainSectors);
  let last = 0;
  let ordered = true;
  for (let index = 0; index < primary.count; index++) {
    rules.signal.throwIfAborted();
    const table = await primary.table(index);
    if (table === undefined) continue;
    for (let entry = 0; entry < table.length; entry++) {
      const sector = table[entry] ?? GRAIN_ABSENT;
      if (sector === GRAIN_ABSENT) continue;
      const grain = index * header.entriesPerTable + entry;
      const place = grain * grainSize;
      if (place >= header.capacity * SECTOR) continue;
      if (sector === GRAIN_ZERO) {
        if (!rules.zeroedGrains)
          yield error('vmdk-zero-grain', 'a grain is marked as zero, and the header says that none is', [], {
            expected: 'the flag for zeroed grains',
            found: `grain ${grain}`,
          });
        continue;
      }
      const wanted = header.compressed ? MARKER.grainHeaderSize : Math.min(grainSize, header.capacity * SECTOR - place);
      if (sector < header.reserved || sector * SECTOR + wanted > file.size) {
        yield error('vmdk-grain', `grain ${grain} lies outside the file or over the descriptor`, ['virtualbox'], {
          offset: sector * SECTOR,
          found: `a file of ${file.size} bytes`,
        });
        continue;
      }
      if (header.compressed) {
        yield* checkMarker(file, header, grain, sector);
        if (sector < last && ordered) {
          ordered = false;
          yield warning('vmdk-grain-order', 'grains are not in the order of the disk', ['virtualbox'], {
            offset: sector * SECTOR,
            found: `grain ${grain}`,
          });
        }
        last = sector;
      } else if (!places.add(sector)) {
        yield error('vmdk-grain-overlap', `grain ${grain} is stored where another one is`, [], {
          offset: sector * SECTOR,
        });
      }
    }
  }
}

async function* openTables(
  { file, header }: TableRules,
  sector: bigint,
  rule: string,
): AsyncGenerator<Finding, Tables | undefined> {
  try {
    return await readDirectory(file, header, sector, new TableMemory());
  } catch (failure) {
    const { message, expected, found } = failure as { message: string; expected?: string; found?: string };
    if ((failure as { name?: string }).name !== 'FormatError') throw failure;
    const details = {
      offset: rule === 'vmdk-directory' ? HEADER.directory : HEADER.redundantDirectory,
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
    };
    const what = message
      .replace(`${file.path}, `, '')
      .replace(/^offset \d+: /, '')
      .replace(/ \((?:expected|found) .*$/, '');
    yield rule === 'vmdk-directory'
      ? error(rule, what, ['virtualbox'], details)
      : warning(rule, `in the copy: ${what}`, ['virtualbox'], details);
    return undefined;
  }
}

/** Both directories lead to the same grains. */
async function* compare({ signal }: TableRules, primary: Tables, copy: Tables): AsyncGenerator<Finding> {
  for (let index = 0; index < primary.count; index++) {
    signal.throwIfAborted();
    const [one, other] = [await primary.table(index), await copy.table(index)];
    if (equalTables(one, other)) continue;
    yield warning('vmdk-redundant-table', `grain table ${index} and its copy differ`, ['virtualbox'], {
      hint: '`polyvisor repair` makes the copy anew',
    });
  }
}

/** A table that is not there is one whose grains are all absent. */
export function equalTables(one: Uint32Array | undefined, other: Uint32Array | undefined): boolean {
  if (one === undefined || other === undefined) return (one ?? other)?.every((entry) => entry === 0) ?? true;
  return one.every((entry, index) => entry === other[index]);
}

async function* checkMarker(
  file: ImageFile,
  { grainSectors }: SparseHeader,
  grain: number,
  sector: number,
): AsyncGenerator<Finding> {
  const offset = sector * SECTOR;
  const marker = await readAt(file, offset, MARKER.grainHeaderSize, 'a grain');
  const position = marker.readBigUInt64LE(MARKER.value);
  const length = marker.readUInt32LE(MARKER.length);
  if (position !== BigInt(grain) * BigInt(grainSectors))
    yield error('vmdk-grain-marker', `the marker of grain ${grain} belongs to another one`, ['virtualbox'], {
      offset,
      expected: `sector ${grain * grainSectors}`,
      found: `${position}`,
    });
  const most = Math.min(2 * grainSectors * SECTOR, file.size - offset - MARKER.grainHeaderSize);
  if (length === 0 || length > most)
    yield error('vmdk-grain-length', `grain ${grain} has an impossible length`, ['virtualbox'], {
      offset: offset + MARKER.length,
      expected: `1 to ${most} bytes`,
      found: `${length}`,
    });
}
