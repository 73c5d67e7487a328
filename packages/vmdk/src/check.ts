import { type CheckOptions, errorKind, type Finding, type ImageFile } from '@polyvisor/core';
import { checkNames, checkSettings, checkText } from './check-descriptor.js';
import { checkSparse } from './check-sparse.js';
import { checkTables } from './check-tables.js';
import { isCowd, readCowdHeader } from './cowd-header.js';
import { descriptorText, type NamedExtent, readDescriptorFile } from './descriptor-file.js';
import { parseDescriptor } from './descriptor-parser.js';
import { fitsCapacity } from './descriptor-reader.js';
import { bounded, error, warning } from './finding.js';
import { readPartHeader } from './header-reader.js';
import { HEADER, MAGIC, SECTOR } from './layout.js';
import { readAt } from './refusal.js';

/** Every rule of VMDK and of those who load it. Reads headers, tables and the markers of grains, no data. */
export async function* checkVmdk(file: ImageFile, options: CheckOptions): AsyncGenerator<Finding> {
  yield* bounded(findings(file, options));
}

async function* findings(file: ImageFile, options: CheckOptions): AsyncGenerator<Finding> {
  const text = await descriptorText(file);
  if (text !== undefined) {
    yield* checkDescriptorFile(file, text, options);
  } else if (await isSparse(file)) {
    yield* checkSparse(file, 'whole', options);
  } else {
    yield error('vmdk-magic', 'this is neither a sparse VMDK nor a descriptor', ['kvm', 'esxi', 'virtualbox'], {
      offset: 0,
      expected: '"KDMV", or "# Disk DescriptorFile"',
    });
  }
}

async function isSparse(file: ImageFile): Promise<boolean> {
  return file.size >= HEADER.size && (await readAt(file, 0, 4, 'the header')).readUInt32LE(0) === MAGIC;
}

async function* checkDescriptorFile(file: ImageFile, text: string, options: CheckOptions): AsyncGenerator<Finding> {
  yield* checkText(text, 0);
  const parsed = parseDescriptor(text, 10_000);
  if (typeof parsed === 'string') {
    yield error('vmdk-descriptor', parsed, ['virtualbox'], { offset: 0 });
    return;
  }
  yield* checkSettings(parsed, 0);
  yield* checkNames(parsed.extents, 0);
  const createType = parsed.settings.get('createType') ?? '';
  if (options.consumer === 'esxi' && createType !== 'vmfs' && createType !== 'vmfsSparse')
    yield warning('vmdk-kind', 'ESXi runs only disks of its own datastores', ['esxi'], {
      found: JSON.stringify(createType.slice(0, 60)),
      hint: 'write it with subformat=vmfs, or streamOptimized to deploy it',
    });
  let extents: readonly NamedExtent[];
  try {
    ({ extents } = readDescriptorFile(file, text));
  } catch (failure) {
    if (errorKind(failure) !== 'format') throw failure;
    yield error('vmdk-extents', (failure as Error).message, []);
    return;
  }
  const seen = new Set<string>();
  for (const extent of extents) {
    options.signal.throwIfAborted();
    if (extent.kind === 'zero' || (extent.kind === 'sparse' && seen.has(extent.name))) continue;
    seen.add(extent.name);
    yield* checkExtent(file, extent, options);
  }
}

async function* checkExtent(file: ImageFile, extent: NamedExtent, options: CheckOptions): AsyncGenerator<Finding> {
  const named = JSON.stringify(extent.name);
  if (file.beside === undefined) {
    yield error('vmdk-extent-file', `${named} cannot be looked for: this file is in no folder`, []);
    return;
  }
  let part: ImageFile;
  try {
    part = await file.beside(extent.name);
  } catch (failure) {
    if (errorKind(failure) === undefined) throw failure;
    yield error('vmdk-extent-file', (failure as Error).message, ['kvm', 'esxi', 'virtualbox']);
    return;
  }
  try {
    for await (const finding of extent.kind === 'flat' ? checkFlat(part, extent) : checkPart(part, extent, options))
      yield { ...finding, message: `${named}: ${finding.message}` };
  } finally {
    await part[Symbol.asyncDispose]();
  }
}

async function* checkFlat(part: ImageFile, { offset, size }: NamedExtent): AsyncGenerator<Finding> {
  await Promise.resolve();
  const details = { expected: `${offset + size} bytes`, found: `${part.size}` };
  if (part.size < offset + size)
    yield error('vmdk-extent-size', 'the file is shorter than the descriptor says', ['virtualbox'], details);
}

async function* checkPart(part: ImageFile, { size }: NamedExtent, options: CheckOptions): AsyncGenerator<Finding> {
  try {
    const cowd = await isCowd(part);
    if (!cowd && !(await isSparse(part))) {
      yield error('vmdk-magic', 'this is not a sparse extent', ['kvm', 'virtualbox'], {
        offset: 0,
        expected: '"KDMV"',
      });
      return;
    }
    if (cowd) {
      const header = await readCowdHeader(part);
      yield* checkTables({ file: part, header, zeroedGrains: false, signal: options.signal });
    } else {
      yield* checkSparse(part, 'part', { signal: options.signal });
    }
    const header = cowd ? await readCowdHeader(part) : await readPartHeader(part);
    if (!fitsCapacity(size / SECTOR, header))
      yield error('vmdk-extent-size', 'extent and descriptor disagree about the size', ['virtualbox'], {
        expected: `${size / SECTOR} sectors`,
        found: `${header.capacity}`,
      });
  } catch (failure) {
    if (errorKind(failure) !== 'format') throw failure;
    yield error('vmdk-unreadable', (failure as Error).message, []);
  }
}
