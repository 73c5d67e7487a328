import { SECTOR } from '../iso/iso-fields.js';
import { type IsoFile, isoInvalid } from './iso-file.js';
import type { Extent, IsoVolume } from './read-volume.js';
import { readSystemUse, type RockRidge } from './system-use.js';

/** Longest directory that is read, in bytes: at least 15 000 names. */
const LONGEST = 4 * 1024 ** 2;

/** Parts of one file; each may have 4 GiB. */
const MOST_EXTENTS = 256;

/** Shortest record: its fixed fields and one byte of name. */
const SHORTEST_RECORD = 34;

/** A file or directory in a directory. */
export interface IsoRecord {
  /** The plain or Joliet's name, without version. */
  readonly plainName: string;
  /** Absent where the image has no Rock Ridge. */
  readonly rockRidge?: RockRidge;
  readonly isDirectory: boolean;
  /** Where in the image it is described. */
  readonly offset: number;
  /** A file beyond 4 GiB has several. */
  readonly extents: readonly Extent[];
  /** Its blocks alternate with those of others, which nobody does any more. */
  readonly interleaved: boolean;
}

/** How records of a volume are to be read. */
export interface ReadingRules {
  readonly volume: IsoVolume;
  /** Bytes to leave out at the beginning of every system use area; absent: there is no Rock Ridge. */
  readonly systemUseSkip?: number;
}

/** Reads a directory, one record after the other; `.` and `..` are left out. */
export async function* readDirectory(file: IsoFile, place: Extent, rules: ReadingRules): AsyncGenerator<IsoRecord> {
  if (place.length > LONGEST)
    throw isoInvalid(file.path, place.offset, `a directory of at most ${LONGEST} bytes`, `${place.length}`);
  let begun: IsoRecord | undefined;
  for (let done = 0; done < place.length; done += SECTOR) {
    const base = place.offset + done;
    const sector = await file.read(base, Math.min(SECTOR, place.length - done), 'a directory');
    for (let at = 0; at < sector.length && sector[at] !== 0;) {
      const length = sector[at] ?? 0;
      if (length < SHORTEST_RECORD || at + length > sector.length)
        throw isoInvalid(
          file.path,
          base + at,
          `a record of ${SHORTEST_RECORD} to ${sector.length - at} bytes`,
          `${length}`,
        );
      const bytes = sector.subarray(at, at + length);
      if (!isDot(bytes)) {
        const read = await record(file, bytes, base + at, rules);
        const whole: IsoRecord = begun === undefined ? read : { ...read, extents: [...begun.extents, ...read.extents] };
        if (whole.extents.length > MOST_EXTENTS)
          throw isoInvalid(file.path, base + at, `at most ${MOST_EXTENTS} parts of a file`, 'more');
        begun = ((bytes[25] ?? 0) & 0x80) === 0 ? undefined : whole;
        if (begun === undefined) yield whole;
      }
      at += length;
    }
  }
}

/** Bytes to skip in system use areas, if the root's first record says that they are used (SUSP §5.3). */
export async function systemUseSkip(file: IsoFile, root: Extent): Promise<number | undefined> {
  const length = Math.min(SECTOR, root.length);
  const sector = await file.read(root.offset, length, 'its root directory');
  const use = sector.subarray(SHORTEST_RECORD, sector[0]);
  const found = use.length >= 7 && use.toString('latin1', 0, 2) === 'SP' && use[4] === 0xbe && use[5] === 0xef;
  return found ? (use[6] ?? 0) : undefined;
}

function isDot(bytes: Buffer): boolean {
  return bytes[32] === 1 && (bytes[33] === 0 || bytes[33] === 1);
}

async function record(file: IsoFile, bytes: Buffer, offset: number, rules: ReadingRules): Promise<IsoRecord> {
  const { volume } = rules;
  const nameLength = bytes[32] ?? 0;
  if (33 + nameLength > bytes.length)
    throw isoInvalid(file.path, offset + 32, `a name of at most ${bytes.length - 33} bytes`, `${nameLength}`);
  const name = bytes.subarray(33, 33 + nameLength);
  const plain = volume.joliet
    ? Buffer.from(name.subarray(0, nameLength & ~1))
        .swap16()
        .toString('utf16le')
    : name.toString('latin1');
  const start = bytes.readUInt32LE(2) + (bytes[1] ?? 0);
  const useAt = 33 + nameLength + (nameLength % 2 === 0 ? 1 : 0);
  const skipped = useAt + (rules.systemUseSkip ?? 0);
  const rockRidge =
    rules.systemUseSkip === undefined
      ? undefined
      : await readSystemUse(file, bytes.subarray(skipped), offset + skipped, volume.block);
  return {
    plainName: plain.replace(/;\d*$/, '').replace(/\.$/, ''),
    ...(rockRidge === undefined ? {} : { rockRidge }),
    isDirectory: ((bytes[25] ?? 0) & 2) !== 0,
    offset,
    extents: [{ offset: start * volume.block, length: bytes.readUInt32LE(10) }],
    interleaved: bytes[26] !== 0 || bytes[27] !== 0,
  };
}
