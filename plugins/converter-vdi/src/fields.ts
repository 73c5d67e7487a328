import type { ImageFile } from '@polyvisor/core';
import {
  COMMENT_SIZE,
  type FieldPlaces,
  ENTRY_SIZE,
  HEADER_0,
  HEADER_1,
  HEADER_SIZE,
  PRELUDE,
  SIGNATURE,
  VERSION_0_2,
} from './layout.js';
import { NULL_UUID, readUuid } from './uuid.js';

/** The header as it stands in the file, believed in nothing yet. */
export interface Fields {
  readonly version: number;
  /** Where each field is, for messages and patches. */
  readonly places: FieldPlaces;
  /** Undefined in version 0.2, which has no such field. */
  readonly headerSize: number | undefined;
  readonly type: number;
  readonly flags: number;
  readonly comment: string;
  readonly legacySectorSize: number;
  /** Undefined where the header ends before it. */
  readonly logicalSectorSize: number | undefined;
  readonly diskSize: bigint;
  readonly blockSize: number;
  readonly blockExtra: number;
  readonly blocks: number;
  readonly allocated: number;
  readonly mapOffset: number;
  readonly dataOffset: number;
  readonly imageId: string;
  readonly modificationId: string;
  readonly linkId: string;
  readonly parentModificationId: string;
}

/** Longest header there is: version 1.1 with the geometry. */
const LONGEST = PRELUDE.size + HEADER_SIZE.withGeometry;

/** Whether the file has the signature, whatever follows it. */
export async function hasSignature(file: ImageFile): Promise<boolean> {
  if (file.size < PRELUDE.size) return false;
  const start = Buffer.alloc(PRELUDE.size);
  await file.read(start, 0);
  return start.readUInt32LE(PRELUDE.signature) === SIGNATURE;
}

/** Version of a file that has the signature. */
export async function readVersion(file: ImageFile): Promise<number> {
  const start = Buffer.alloc(PRELUDE.size);
  await file.read(start, 0);
  return start.readUInt32LE(PRELUDE.version);
}

/** Whether we know where the fields of such a version are: 0.2, and 1 with any minor number, as VirtualBox has it. */
export function isKnownVersion(version: number): boolean {
  return version === VERSION_0_2 || version >>> 16 === 1;
}

/** Reads the header of a known version. Undefined when the file ends within it. */
export async function readFields(file: ImageFile): Promise<Fields | undefined> {
  const header = Buffer.alloc(LONGEST);
  const there = Math.min(file.size, LONGEST);
  await file.read(header.subarray(0, there), 0);
  const version = header.readUInt32LE(PRELUDE.version);
  const old = version === VERSION_0_2;
  const places: FieldPlaces = old ? HEADER_0 : HEADER_1;
  if (there < places.end) return undefined;
  const field = (offset: number) => header.readUInt32LE(offset);
  const blocks = field(places.blocks);
  const headerSize = old ? undefined : field(HEADER_1.headerSize);
  return {
    version,
    places,
    headerSize,
    type: field(places.type),
    flags: field(places.flags),
    comment: text(header.subarray(places.comment, places.comment + COMMENT_SIZE)),
    legacySectorSize: field(places.legacySectorSize),
    logicalSectorSize:
      headerSize !== undefined && headerSize >= HEADER_SIZE.withGeometry && there === LONGEST
        ? field(HEADER_1.logicalSectorSize)
        : undefined,
    diskSize: header.readBigUInt64LE(places.diskSize),
    blockSize: field(places.blockSize),
    blockExtra: old ? 0 : field(HEADER_1.blockExtra),
    blocks,
    allocated: field(places.allocated),
    mapOffset: old ? HEADER_0.end : field(HEADER_1.mapOffset),
    dataOffset: old ? HEADER_0.end + blocks * ENTRY_SIZE : field(HEADER_1.dataOffset),
    imageId: readUuid(header, places.imageId),
    modificationId: readUuid(header, places.modificationId),
    linkId: readUuid(header, places.linkId),
    parentModificationId: old ? NULL_UUID : readUuid(header, HEADER_1.parentModificationId),
  };
}

/** Text for people out of a field that need not end, or be text at all. */
function text(field: Buffer): string {
  const end = field.indexOf(0);
  return field
    .toString('utf8', 0, end < 0 ? field.length : end)
    .replace(/\p{Control}+/gu, ' ')
    .trim();
}
