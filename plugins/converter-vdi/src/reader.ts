import {
  type Detection,
  errorKind,
  expectParent,
  FormatError,
  type ImageFile,
  type OpenImage,
  type ParentReference,
  parentMissing,
  type ReadOptions,
  SECTOR_SIZE,
  unreadableDisk,
} from '@polyvisor/core';
import { vdiDisk } from './disk.js';
import { hasSignature } from './fields.js';
import { damaged, type Header, linkIdOf, parentLinkOf, readHeader } from './header.js';
import { BLOCK_ZERO, ENTRY_SIZE, IMAGE_TYPE } from './layout.js';
import { mapPages } from './map.js';
import { SEEN_WINDOW, SeenBlocks } from './seen.js';
import { NULL_UUID } from './uuid.js';

/** The signature alone may also stand in the first sector of a raw disk. */
export async function detectVdi(file: ImageFile): Promise<Detection> {
  if (!(await hasSignature(file))) return 'no';
  try {
    await readHeader(file);
    return 'yes';
  } catch (error) {
    if (errorKind(error) === 'format') return 'maybe';
    throw error;
  }
}

/**
 * Opens an image. The map is gone over once, so that a block that lies outside the file, or is used twice, is known
 * before anything is read. Memory: 5 MiB meanwhile, and then what the pages of the map take that are kept, at most 1 MiB.
 */
export async function openVdi(file: ImageFile, { parent }: ReadOptions = {}): Promise<OpenImage> {
  const header = await readHeader(file);
  const stored = await checkMap(file, header);
  const { fields, differencing } = header;
  const image = {
    facts: factsOf(header, stored),
    linkId: linkIdOf(fields),
    ...(fields.diskSize % BigInt(SECTOR_SIZE) === 0n
      ? {}
      : { warnings: [`the disk has ${fields.diskSize} bytes, of which a guest sees the whole sectors`] }),
  };
  if (!differencing) return { ...image, disk: vdiDisk(file, header) };
  const linkId = parentLinkOf(fields);
  const reference: ParentReference = { names: [], ...(linkId === undefined ? {} : { linkId }) };
  const unreadable = () => unreadableDisk(header.diskSize, parentMissing(file, reference));
  if (parent === undefined) return { ...image, parent: reference, disk: unreadable() };
  expectParent(file, reference, parent);
  expectCreator(file, header, parent.linkId);
  return { ...image, parent: reference, disk: vdiDisk(file, header, parent.disk) };
}

/** Version 0.2 does not note when the parent was changed, so only its UUID can be compared. */
function expectCreator(file: ImageFile, { fields }: Header, found: string | undefined): void {
  if (fields.linkId === NULL_UUID || found?.startsWith(`${fields.linkId}/`)) return;
  throw new FormatError('parent-mismatch', 'the image given as the parent is another one', {
    file: file.path,
    expected: fields.linkId,
    found: found ?? 'an image without such an identity',
  });
}

/** Refuses a map that points outside the file or twice to the same block. Counts the blocks that are stored. */
async function checkMap(file: ImageFile, header: Header): Promise<number> {
  const { fields, stride, dataStart, blocks, blockSize, diskSize } = header;
  const inFile = Math.ceil(Math.max(0, file.size - fields.dataOffset) / stride);
  let stored = 0;
  // Once at least; more than 32 million blocks in one file are gone over in parts.
  for (let window = 0; window === 0 || window < inFile; window += SEEN_WINDOW) {
    const seen = new SeenBlocks(window, inFile);
    for await (const { first, page } of mapPages(file, fields.mapOffset, blocks)) {
      for (const [index, entry] of page.entries()) {
        if (entry >= BLOCK_ZERO) continue;
        const block = first + index;
        const needed = Math.min(blockSize, diskSize - block * blockSize);
        const end = dataStart + entry * stride + needed;
        const twice = seen.add(entry);
        if (end > file.size || twice) {
          throw damaged(
            file,
            `block ${block} of the disk ${twice ? 'is stored where another is' : 'lies outside the file'}`,
            {
              offset: fields.mapOffset + block * ENTRY_SIZE,
              expected: twice ? 'a block of its own' : `an end of at most ${file.size}`,
              found: twice ? `block ${entry} of the file` : `block ${entry} of the file, which ends at ${end}`,
            },
          );
        }
        if (window === 0) stored++;
      }
    }
  }
  return stored;
}

const TYPES: Readonly<Record<number, string>> = {
  [IMAGE_TYPE.dynamic]: 'dynamic',
  [IMAGE_TYPE.fixed]: 'fixed',
  [IMAGE_TYPE.undo]: 'undo',
  [IMAGE_TYPE.differencing]: 'differencing',
};

function factsOf({ fields, blockSize, blocks }: Header, stored: number): OpenImage['facts'] {
  return {
    'VDI type': TYPES[fields.type] ?? `${fields.type}`,
    'VDI version': `${fields.version >>> 16}.${fields.version & 0xffff}`,
    'block size': blockSize,
    'blocks stored': `${stored} of ${blocks}`,
    ...(fields.blockExtra === 0 ? {} : { 'extra bytes per block': fields.blockExtra }),
    ...(fields.comment === '' ? {} : { comment: fields.comment }),
    'image UUID': fields.imageId,
    'modification UUID': fields.modificationId,
    ...(fields.linkId === NULL_UUID ? {} : { 'parent UUID': fields.linkId }),
    ...(fields.parentModificationId === NULL_UUID ? {} : { 'parent modification UUID': fields.parentModificationId }),
  };
}
