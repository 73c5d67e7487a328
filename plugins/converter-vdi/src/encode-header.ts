import type { ConvertJob } from '@polyvisor/core';
import { HEADER_1, HEADER_SIZE, IMAGE_TYPE, PRELUDE, SIGNATURE, TEXT, VERSION_1_1 } from './layout.js';
import type { VdiOptions } from './options.js';
import { encodeUuid } from './uuid.js';

/** Every sector that this format knows of is this long. */
const SECTOR = 512;

export interface HeaderNumbers {
  readonly blockSize: number;
  readonly blocks: number;
  readonly mapOffset: number;
  readonly dataOffset: number;
}

/** The header of a base image in version 1.1, with the geometry left for VirtualBox to compute, as its own new images have it. */
export function encodeHeader(
  { options, identity, size }: Pick<ConvertJob<VdiOptions>, 'options' | 'identity' | 'size'>,
  { blockSize, blocks, mapOffset, dataOffset }: HeaderNumbers,
  allocated: number,
): Buffer {
  const header = Buffer.alloc(PRELUDE.size + HEADER_SIZE.withGeometry);
  const field = (offset: number, value: number) => header.writeUInt32LE(value, offset);
  header.write(TEXT, 0, 'latin1');
  field(PRELUDE.signature, SIGNATURE);
  field(PRELUDE.version, VERSION_1_1);
  field(HEADER_1.headerSize, HEADER_SIZE.withGeometry);
  field(HEADER_1.type, IMAGE_TYPE[options.subformat]);
  header.write(options.comment, HEADER_1.comment, 'utf8');
  field(HEADER_1.mapOffset, mapOffset);
  field(HEADER_1.dataOffset, dataOffset);
  field(HEADER_1.legacySectorSize, SECTOR);
  header.writeBigUInt64LE(BigInt(size), HEADER_1.diskSize);
  field(HEADER_1.blockSize, blockSize);
  field(HEADER_1.blocks, blocks);
  field(HEADER_1.allocated, allocated);
  encodeUuid(options.uuid ?? identity.uuid('vdi image')).copy(header, HEADER_1.imageId);
  encodeUuid(identity.uuid('vdi modification')).copy(header, HEADER_1.modificationId);
  field(HEADER_1.logicalSectorSize, SECTOR);
  return header;
}
