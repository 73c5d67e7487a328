import { type IsoFile, isoInvalid } from './iso-file.js';

/** What Rock Ridge says about a record. */
export interface RockRidge {
  readonly name?: string;
  readonly link: boolean;
  /** Kept compressed, which only Linux reads. */
  readonly compressed: boolean;
  /** Block at which a directory lies that was moved up, since it was too deep. */
  readonly movedTo?: number;
  /** Stands where such a directory was put; it is to be seen only in its own place. */
  readonly moved: boolean;
}

/** Longest name, and parts in which the entries of one record may be continued. */
const LONGEST_NAME = 1024;
const MOST_CONTINUATIONS = 8;

/** Reads the entries of one record (SUSP §5, RRIP §4). `offset` is where `use` lies in the file. */
export async function readSystemUse(file: IsoFile, use: Buffer, offset: number, block: number): Promise<RockRidge> {
  const names: Buffer[] = [];
  let link = false;
  let compressed = false;
  let moved = false;
  let movedTo: number | undefined;
  let area: { bytes: Buffer; offset: number } | undefined = { bytes: use, offset };
  for (let n = 0; area !== undefined; n++) {
    if (n > MOST_CONTINUATIONS)
      throw isoInvalid(file.path, area.offset, `at most ${MOST_CONTINUATIONS} continuations of a record`, 'more');
    let next: { offset: number; length: number } | undefined;
    for (const { signature, bytes } of entries(file, area.bytes, area.offset)) {
      if (signature === 'NM' && bytes.length >= 5) names.push(bytes.subarray(5));
      if (signature === 'SL') link = true;
      if (signature === 'ZF') compressed = true;
      if (signature === 'RE') moved = true;
      if (signature === 'CL' && bytes.length >= 12) movedTo = bytes.readUInt32LE(4);
      if (signature === 'CE' && bytes.length >= 28)
        next = {
          offset: bytes.readUInt32LE(4) * block + bytes.readUInt32LE(12),
          length: Math.min(block, bytes.readUInt32LE(20)),
        };
    }
    area = next && { offset: next.offset, bytes: await file.read(next.offset, next.length, 'a directory') };
  }
  const name = Buffer.concat(names).subarray(0, LONGEST_NAME).toString();
  return { link, compressed, moved, ...(name === '' ? {} : { name }), ...(movedTo === undefined ? {} : { movedTo }) };
}

function* entries(file: IsoFile, use: Buffer, offset: number): Generator<{ signature: string; bytes: Buffer }> {
  for (let at = 0; at + 4 <= use.length;) {
    const signature = use.toString('latin1', at, at + 2);
    // `ST` ends the area; so do the zeros with which some writers fill it up.
    if (signature === 'ST' || signature === '\0\0') return;
    const length = use[at + 2] ?? 0;
    if (length < 4 || at + length > use.length)
      throw isoInvalid(file.path, offset + at + 2, `an entry of 4 to ${use.length - at} bytes`, `${length}`);
    yield { signature, bytes: use.subarray(at, at + length) };
    at += length;
  }
}
