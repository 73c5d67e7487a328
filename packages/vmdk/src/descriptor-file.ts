import type { ImageFile } from '@polyvisor/core';
import { decodeDescriptor, type DescriptorText, type ExtentLine, parseDescriptor, quote } from './descriptor-parser.js';
import { type Descriptor, describe, wrongInSettings } from './descriptor-reader.js';
import { MAX_CAPACITY, MAX_EXTENTS, SECTOR } from './layout.js';
import { damaged, readAt, unsupported } from './refusal.js';

/** Largest descriptor file, in bytes: 4096 extents with long names. A larger file is a disk that begins like one. */
export const MAX_DESCRIPTOR_FILE = 1024 * 1024;

/** Lines of a descriptor file: its extents, and some settings. */
const MAX_FILE_LINES = 2 * MAX_EXTENTS;

/** Windows onto one and the same file; partitions of a disk need a few. */
const MAX_SHARED = 64;

/** Kinds of disk that are made of files in the same folder. */
const READ_TYPES: ReadonlySet<string> = new Set([
  'monolithicFlat',
  'twoGbMaxExtentFlat',
  'twoGbMaxExtentSparse',
  'vmfs',
  'vmfsSparse',
  'custom',
]);

/** Kinds that need something else than plain files, by the words for people. */
const REFUSED_TYPES: ReadonlyMap<string, string> = new Map([
  ['fullDevice', 'a whole disk of the host it was made on'],
  ['partitionedDevice', 'partitions of the host it was made on'],
  ['vmfsRaw', 'a raw device of the ESX host it was made on'],
  ['vmfsRawDeviceMap', 'a raw device mapping of the ESX host it was made on'],
  ['vmfsPassthroughRawDeviceMap', 'a raw device mapping of the ESX host it was made on'],
  ['vmfsRDM', 'a raw device mapping of the ESX host it was made on'],
  ['vmfsRDMP', 'a raw device mapping of the ESX host it was made on'],
  ['seSparse', "SESparse, vSphere's format for snapshots, which is not documented"],
]);

/** One line of a descriptor file which can be opened. Sizes and positions in bytes. */
export interface NamedExtent {
  readonly kind: 'flat' | 'sparse' | 'zero';
  readonly size: number;
  /** A plain name; empty for `zero`. */
  readonly name: string;
  /** Where the data starts in the named file; 0 unless it is flat. */
  readonly offset: number;
}

export interface DescriptorFile extends Descriptor {
  readonly extents: readonly NamedExtent[];
}

/** Whether a file could be a descriptor, and its text. Undefined for files that are too long or do not begin like one. */
export async function descriptorText(file: ImageFile): Promise<string | undefined> {
  if (file.size === 0 || file.size > MAX_DESCRIPTOR_FILE) return undefined;
  const start = await readAt(file, 0, Math.min(file.size, 4096), 'the descriptor');
  if (
    !/^(?:\u00ef\u00bb\u00bf)?(?:[^\S\n]*(?:#[^\n]*)?\n){0,100}\s*(?:# Disk DescriptorFile|version\s*=)/i.test(
      start.toString('latin1'),
    )
  )
    return undefined;
  return decodeDescriptor(await readAt(file, 0, file.size, 'the descriptor'));
}

/** Takes a descriptor file apart and checks everything about it that can be known without its extents. */
export function readDescriptorFile(file: ImageFile, text: string): DescriptorFile {
  const parsed = parseDescriptor(text, MAX_FILE_LINES);
  if (typeof parsed === 'string') throw damaged(file, parsed, { offset: 0 });
  const createType = parsed.settings.get('createType');
  const refused = createType === undefined ? undefined : REFUSED_TYPES.get(createType);
  if (refused !== undefined) throw unsupported(file, `this is ${refused} (${createType ?? ''})`);
  if (createType === undefined || !READ_TYPES.has(createType))
    throw damaged(file, `a descriptor of a disk of type ${quote(createType)}, which is not one of several files`, {
      expected: [...READ_TYPES].join(', '),
    });
  const wrong = wrongInSettings(parsed.settings) ?? wrongInExtents(parsed);
  if (wrong !== undefined) throw damaged(file, wrong, { offset: 0 });
  return { ...describe(parsed), extents: parsed.extents.map((line) => namedExtent(file, line)) };
}

function wrongInExtents({ extents }: DescriptorText): string | undefined {
  if (extents.length === 0 || extents.length > MAX_EXTENTS)
    return `the descriptor lists ${extents.length} extents, 1 to ${MAX_EXTENTS} can be read`;
  let total = 0;
  for (const { sectors } of extents) {
    if (sectors === 0) return 'the descriptor lists an extent of no sectors';
    total += sectors;
    if (total * SECTOR > MAX_CAPACITY) return `the extents are longer than ${MAX_CAPACITY} bytes together`;
  }
  return wrongInNames(extents);
}

/** Each byte of a file may be in one place of the disk only. Names are compared as a careless file system does. */
function wrongInNames(extents: readonly ExtentLine[]): string | undefined {
  const byName = new Map<string, ExtentLine[]>();
  for (const line of extents) {
    if (line.name === undefined || line.type === 'ZERO') continue;
    const key = line.name.normalize('NFC').toLowerCase();
    const others = byName.get(key);
    if (others === undefined) byName.set(key, [line]);
    else others.push(line);
  }
  for (const lines of byName.values()) {
    if (lines.length === 1) continue;
    const name = quote(lines[0]?.name);
    if (lines.length > MAX_SHARED) return `the descriptor names ${name} ${lines.length} times`;
    if (lines.some(({ type }) => type !== 'FLAT')) return `the descriptor names ${name} twice`;
    const sorted = lines.toSorted((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
    let end = 0;
    for (const { offset = 0, sectors } of sorted) {
      if (offset < end) return `two extents overlap in ${name}`;
      end = offset + sectors;
    }
  }
  return undefined;
}

function namedExtent(file: ImageFile, { access, sectors, type, name, offset = 0 }: ExtentLine): NamedExtent {
  if (access === 'NOACCESS') throw unsupported(file, `the descriptor forbids access to ${quote(name)}`);
  const size = sectors * SECTOR;
  switch (type) {
    case 'ZERO':
      return { kind: 'zero', size, name: '', offset: 0 };
    case 'FLAT':
    case 'VMFS':
    case 'SPARSE':
    case 'VMFSSPARSE': {
      if (name === undefined || name === '')
        throw damaged(file, `an extent of type ${type} has no name`, { offset: 0 });
      if (type === 'FLAT' || type === 'VMFS') return { kind: 'flat', size, name, offset: offset * SECTOR };
      return { kind: 'sparse', size, name, offset: 0 };
    }
    case 'VMFSRDM':
    case 'VMFSRAW':
    case 'SESPARSE':
      throw unsupported(file, `an extent is of type ${type}, which is not a plain file`);
    default:
      throw damaged(file, `an extent is of the unknown type ${quote(type)}`, { offset: 0 });
  }
}
