import { FormatError, type FormatErrorDetails, type ImageFile, SECTOR_SIZE } from '@polyvisor/core';
import { type Fields, hasSignature, isKnownVersion, readFields, readVersion } from './fields.js';
import { ENTRY_SIZE, HEADER_1, IMAGE_TYPE, MAX_BLOCK_SIZE, MIN_BLOCK_SIZE, PRELUDE, SIGNATURE } from './layout.js';
import { NULL_UUID } from './uuid.js';

/** What a reader needs of a header, all of it checked against the others and against the file. Sizes in bytes. */
export interface Header {
  readonly fields: Fields;
  /** Guest-visible, a multiple of 512. */
  readonly diskSize: number;
  readonly blockSize: number;
  /** From the start of one block in the file to that of the next. */
  readonly stride: number;
  /** Where the first byte of the disk's data in block 0 is; the extra bytes of a block precede it. */
  readonly dataStart: number;
  /** Entries of the map that the disk needs; there may be more. */
  readonly blocks: number;
  /** The rest of the disk is in another image. */
  readonly differencing: boolean;
}

/** Reads and checks the header; `vdi-unsupported` for versions that are not read, `vdi-invalid` for all else. */
export async function readHeader(file: ImageFile): Promise<Header> {
  if (!(await hasSignature(file))) {
    throw damaged(file, 'not a VDI', { offset: PRELUDE.signature, expected: `0x${SIGNATURE.toString(16)}` });
  }
  const version = await readVersion(file);
  if (!isKnownVersion(version)) {
    throw new FormatError('vdi-unsupported', 'a version of VDI that is not read', {
      file: file.path,
      offset: PRELUDE.version,
      expected: '1.1, or 0.2',
      found: `${version >>> 16}.${version & 0xffff}`,
    });
  }
  const fields = await readFields(file);
  if (fields === undefined) throw damaged(file, 'the file ends within its header', { offset: file.size });
  return checkFields(file, fields);
}

function checkFields(file: ImageFile, fields: Fields): Header {
  const { places, blockSize, blockExtra, mapOffset, dataOffset } = fields;
  const expect = (ok: boolean, what: string, offset: number, expected: string, found: number | bigint) => {
    if (!ok) throw damaged(file, what, { offset, expected, found: `${found}` });
  };
  const isType = fields.type >= IMAGE_TYPE.dynamic && fields.type <= IMAGE_TYPE.differencing;
  expect(isType, 'unknown type of image', places.type, '1 to 4', fields.type);
  const isBlockSize = isPowerOfTwo(blockSize) && blockSize >= MIN_BLOCK_SIZE && blockSize <= MAX_BLOCK_SIZE;
  const sizes = `a power of two, ${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`;
  expect(isBlockSize, 'impossible block size', places.blockSize, sizes, blockSize);
  const isExtra = blockExtra === 0 || (isPowerOfTwo(blockExtra) && blockExtra <= MAX_BLOCK_SIZE);
  expect(isExtra, 'impossible number of extra bytes for a block', HEADER_1.blockExtra, `0, or ${sizes}`, blockExtra);
  const most = BigInt(fields.blocks) * BigInt(blockSize);
  const fits = fields.diskSize >= BigInt(SECTOR_SIZE) && fields.diskSize <= most && most <= Number.MAX_SAFE_INTEGER;
  expect(fits, 'the map does not cover the disk', places.diskSize, `512 to ${most} bytes`, fields.diskSize);
  expect(
    mapOffset >= places.end,
    'the map lies over the header',
    HEADER_1.mapOffset,
    `${places.end} or more`,
    mapOffset,
  );
  const mapEnd = mapOffset + fields.blocks * ENTRY_SIZE;
  expect(
    mapEnd <= file.size,
    'the map lies beyond the end of the file',
    HEADER_1.mapOffset,
    `an end of at most ${file.size}`,
    mapEnd,
  );
  expect(dataOffset >= mapEnd, 'the data lies over the map', HEADER_1.dataOffset, `${mapEnd} or more`, dataOffset);
  // VirtualBox's own rule for images of its GUI for the Mac, which did not round: the guest never saw the last piece.
  const diskSize = Number(fields.diskSize) - (Number(fields.diskSize) % SECTOR_SIZE);
  return {
    fields,
    diskSize,
    blockSize,
    stride: blockSize + blockExtra,
    dataStart: dataOffset + blockExtra,
    blocks: Math.ceil(diskSize / blockSize),
    differencing: fields.type === IMAGE_TYPE.undo || fields.type === IMAGE_TYPE.differencing,
  };
}

/** What children of an image refer to: VirtualBox notes who the parent is, and when it was last changed. */
export function linkIdOf({ imageId, modificationId }: Fields): string {
  return `${imageId}/${modificationId}`;
}

/** What the parent's `linkIdOf` must be; undefined where the image does not say it to the end. */
export function parentLinkOf({ linkId, parentModificationId }: Fields): string | undefined {
  return linkId === NULL_UUID || parentModificationId === NULL_UUID ? undefined : `${linkId}/${parentModificationId}`;
}

export function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

export function damaged(file: ImageFile, what: string, details: FormatErrorDetails): FormatError {
  return new FormatError('vdi-invalid', what, { file: file.path, ...details });
}
