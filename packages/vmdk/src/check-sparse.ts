import { errorKind, type CheckOptions, type Finding, type ImageFile } from '@polyvisor/core';
import { checkNames, checkSettings, checkText } from './check-descriptor.js';
import { checkEnd } from './check-end.js';
import { checkHeaderFields } from './check-header.js';
import { checkTables } from './check-tables.js';
import { decodeDescriptor, parseDescriptor, quote } from './descriptor-parser.js';
import { fitsCapacity } from './descriptor-reader.js';
import { error, warning } from './finding.js';
import { readHeader, readPartHeader, type SparseHeader } from './header-reader.js';
import { FLAG, HEADER, MAX_DESCRIPTOR, SECTOR } from './layout.js';
import { readAt } from './refusal.js';

/** Every rule about a sparse file, alone or as a part of a disk. The magic has been seen. */
export async function* checkSparse(
  file: ImageFile,
  role: 'whole' | 'part',
  { signal, consumer }: CheckOptions,
): AsyncGenerator<Finding> {
  const header = await readAt(file, 0, HEADER.size, 'the header');
  let broken = false;
  const seen = function* (findings: Iterable<Finding>): Generator<Finding> {
    for (const finding of findings) {
      broken ||= finding.severity === 'error';
      yield finding;
    }
  };
  yield* seen(checkHeaderFields(header, file.size, role));
  const compressed = (header.readUInt32LE(HEADER.flags) & FLAG.compressed) !== 0;
  if (!compressed && role === 'whole' && consumer === 'esxi')
    yield warning('vmdk-kind', 'ESXi does not run or deploy sparse disks of this kind', ['esxi'], {
      hint: 'write it with subformat=streamOptimized to deploy it, or with subformat=vmfs for a datastore',
    });
  if (role === 'whole') for await (const finding of checkEmbedded(file, header, compressed)) yield* seen([finding]);
  if (compressed) for await (const finding of checkEnd(file, header)) yield* seen([finding]);
  const readable = await openHeader(file, role);
  if (typeof readable !== 'string') {
    const zeroedGrains = (header.readUInt32LE(HEADER.flags) & FLAG.zeroedGrains) !== 0;
    yield* checkTables({ file, header: readable, zeroedGrains, signal });
  } else if (!broken) {
    // Something is wrong that none of the rules above tells apart.
    yield error('vmdk-unreadable', readable, []);
  }
}

/** What the reader makes of header, descriptor and footer; its refusal as text. */
async function openHeader(file: ImageFile, role: 'whole' | 'part'): Promise<SparseHeader | string> {
  try {
    return role === 'part' ? await readPartHeader(file) : await readHeader(file, 'whole');
  } catch (failure) {
    if (errorKind(failure) !== 'format') throw failure;
    return (failure as Error).message;
  }
}

async function* checkEmbedded(file: ImageFile, header: Buffer, compressed: boolean): AsyncGenerator<Finding> {
  const at = header.readBigUInt64LE(HEADER.descriptorOffset);
  const length = header.readBigUInt64LE(HEADER.descriptorSize);
  if (at === 0n || length === 0n || length > MAX_DESCRIPTOR / SECTOR || (at + length) * 512n > file.size) return;
  const offset = Number(at) * SECTOR;
  const text = decodeDescriptor(await readAt(file, offset, Number(length) * SECTOR, 'the descriptor'));
  yield* checkText(text, offset);
  const parsed = parseDescriptor(text);
  if (typeof parsed === 'string') {
    yield error('vmdk-descriptor', parsed, ['virtualbox'], { offset });
    return;
  }
  yield* checkSettings(parsed, offset);
  yield* checkNames(parsed.extents, offset);
  const createType = parsed.settings.get('createType');
  const wanted = compressed ? 'streamOptimized' : 'monolithicSparse';
  if (createType !== wanted)
    yield error('vmdk-create-type', 'descriptor and header disagree about the kind of disk', ['virtualbox'], {
      offset,
      expected: wanted,
      found: quote(createType),
    });
  const [extent] = parsed.extents;
  if (extent === undefined || parsed.extents.length > 1 || extent.type !== 'SPARSE') {
    yield error('vmdk-extents', 'the descriptor of a disk in one file lists one sparse extent', ['virtualbox'], {
      offset,
      found: `${parsed.extents.length} extents${extent === undefined ? '' : `, the first of type ${extent.type}`}`,
    });
    return;
  }
  const capacity = header.readBigUInt64LE(HEADER.capacity);
  const grainSectors = Number(header.readBigUInt64LE(HEADER.grainSize));
  if (!fitsCapacity(extent.sectors, { capacity: Number(capacity), grainSectors }))
    yield error('vmdk-extent-size', 'descriptor and header disagree about the size of the disk', ['virtualbox'], {
      offset,
      expected: `${capacity} sectors`,
      found: `${extent.sectors}`,
    });
}
