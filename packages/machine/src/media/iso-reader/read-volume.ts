import { FIRST_DESCRIPTOR, SECTOR } from '../iso/iso-fields.js';
import { type IsoFile, isoInvalid } from './iso-file.js';

/** Descriptors that are looked at; real images have three to six. */
const MOST_DESCRIPTORS = 64;

/** Where a directory or (a part of) a file lies. */
export interface Extent {
  /** In bytes. */
  readonly offset: number;
  readonly length: number;
}

/** One of the hierarchies of directories on an image. */
export interface IsoVolume {
  readonly root: Extent;
  /** Bytes of a logical block. */
  readonly block: number;
  readonly joliet: boolean;
}

/** Finds the primary volume, and Joliet's where there is one. */
export async function readVolumes(file: IsoFile): Promise<{ primary: IsoVolume; joliet?: IsoVolume }> {
  let primary: IsoVolume | undefined;
  let joliet: IsoVolume | undefined;
  for (let n = 0; n < MOST_DESCRIPTORS; n++) {
    const offset = (FIRST_DESCRIPTOR + n) * SECTOR;
    const bytes = await file.read(offset, SECTOR, 'its volume descriptors');
    const mark = bytes.toString('latin1', 1, 6);
    if (mark !== 'CD001') {
      // A bridge to UDF may follow, whose descriptors are marked in other ways.
      if (primary !== undefined) break;
      throw isoInvalid(file.path, offset + 1, '"CD001"', JSON.stringify(mark));
    }
    const type = bytes[0];
    if (type === 255) break;
    if (type === 1) primary ??= volume(file, bytes, offset, false);
    if (type === 2 && isJoliet(bytes)) joliet ??= volume(file, bytes, offset, true);
  }
  if (primary === undefined)
    throw isoInvalid(file.path, FIRST_DESCRIPTOR * SECTOR, 'a primary volume descriptor', 'none');
  return joliet === undefined ? { primary } : { primary, joliet };
}

/** The escape sequences of UCS-2, levels 1 to 3. */
function isJoliet(bytes: Buffer): boolean {
  return ['%/@', '%/C', '%/E'].includes(bytes.toString('latin1', 88, 91));
}

function volume(file: IsoFile, bytes: Buffer, offset: number, joliet: boolean): IsoVolume {
  const block = bytes.readUInt16LE(128);
  if (![512, 1024, 2048].includes(block))
    throw isoInvalid(file.path, offset + 128, 'blocks of 512, 1024 or 2048 bytes', `${block}`);
  // The root's record is in the descriptor: its place at 158, its length at 166, blocks of extended attributes at 157.
  const start = bytes.readUInt32LE(158) + (bytes[157] ?? 0);
  return { root: { offset: start * block, length: bytes.readUInt32LE(166) }, block, joliet };
}
