import {
  type Detection,
  expectParent,
  type ImageFile,
  type OpenImage,
  type ParentReference,
  parentMissing,
  type ReadOptions,
  unreadableDisk,
} from '@polyvisor/core';
import { contentId } from './descriptor-parser.js';
import { descriptorText, readDescriptorFile } from './descriptor-file.js';
import type { Descriptor } from './descriptor-reader.js';
import { openExtents, type OpenExtents } from './extent-files.js';
import { readHeader } from './header-reader.js';
import { layeredDisk } from './layered-disk.js';
import { HEADER, MAGIC } from './layout.js';
import { readAt } from './refusal.js';
import { openSparseLayer } from './sparse-layer.js';
import { sparseFacts } from './stream-reader.js';
import { TableMemory } from './table-reader.js';

/**
 * Sparse files are told by their magic, descriptors by their first line. A long file that begins like a descriptor is a raw disk
 * whose guest wants it to be taken for one.
 */
export async function detectVmdk(file: ImageFile): Promise<Detection> {
  if (file.size < 4) return 'no';
  if (file.size >= HEADER.size && (await readAt(file, 0, 4, 'the header')).readUInt32LE(0) === MAGIC) return 'yes';
  const text = await descriptorText(file);
  if (text === undefined) return 'no';
  return /^\s*createType\s*=/m.test(text) ? 'yes' : 'maybe';
}

/**
 * Opens a VMDK of any kind: a stream, a sparse disk, or a descriptor and the files beside it. Memory: the grain directories, at
 * most 16 MiB together (4 bytes for 32 MiB of disk), 64 grain tables, and 16 grains per read under way. The disk owns the files
 * beside the image.
 */
export async function openVmdk(file: ImageFile, { parent }: ReadOptions = {}): Promise<OpenImage> {
  const text = await descriptorText(file);
  return text === undefined ? openSparseFile(file, parent) : openDescriptorFile(file, text, parent);
}

async function openSparseFile(file: ImageFile, parent: ReadOptions['parent']): Promise<OpenImage> {
  const header = await readHeader(file, 'whole');
  const { warnings, ...layer } = await openSparseLayer(file, header, new TableMemory());
  const extents = { segments: [{ start: 0, layer }], warnings, close: () => Promise.resolve() };
  return image(file, { descriptor: header.descriptor, facts: sparseFacts(header), extents, parent });
}

async function openDescriptorFile(file: ImageFile, text: string, parent: ReadOptions['parent']): Promise<OpenImage> {
  const descriptor = readDescriptorFile(file, text);
  const { createType, adapterType, hardwareVersion } = descriptor;
  const facts = {
    'VMDK type': createType,
    extents: descriptor.extents.length,
    ...(adapterType === undefined ? {} : { 'VMDK adapter': adapterType }),
    ...(hardwareVersion === undefined ? {} : { 'VMDK hardware version': hardwareVersion }),
    'VMDK content id': descriptor.contentId,
  };
  return image(file, { descriptor, facts, extents: await openExtents(file, descriptor.extents), parent });
}

interface Parts {
  readonly descriptor: Descriptor;
  readonly facts: OpenImage['facts'];
  readonly extents: OpenExtents;
  readonly parent: ReadOptions['parent'];
}

async function image(file: ImageFile, { descriptor, facts, extents, parent }: Parts): Promise<OpenImage> {
  const { segments, warnings, close } = extents;
  const linkId = contentId(descriptor.contentId);
  const reference = descriptor.parent;
  const told = {
    facts,
    ...(linkId === undefined ? {} : { linkId }),
    ...(reference === undefined ? {} : { parent: reference }),
    ...(warnings.length > 0 ? { warnings } : {}),
  };
  try {
    const disk = layeredDisk(segments, parentOf(file, reference, parent)?.disk, close);
    if (reference === undefined || parent !== undefined) return { ...told, disk };
    await close();
    return { ...told, disk: unreadableDisk(disk.size, parentMissing(file, reference)) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The parent to read through, when the image has one and it is the right one. */
function parentOf(
  file: ImageFile,
  reference: ParentReference | undefined,
  parent: ReadOptions['parent'],
): ReadOptions['parent'] {
  if (reference === undefined || parent === undefined) return undefined;
  expectParent(file, reference, parent);
  return parent;
}
