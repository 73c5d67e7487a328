import { shortTime } from './iso-fields.js';

// System use entries (SUSP 1.12 §5, RRIP 1.12 §4): two letters, length, version 1, then what each means. Numbers are in both orders.

/** What begins every entry; `length` counts it too. */
function entry(signature: string, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.write(signature, 'latin1');
  bytes[2] = length;
  bytes[3] = 1;
  return bytes;
}

/** First of the root's own record: says that the entries are used. */
export function sharingProtocol(): Buffer {
  const bytes = entry('SP', 7);
  bytes.set([0xbe, 0xef, 0], 4);
  return bytes;
}

/** Says that the entries are those of Rock Ridge. Its long descriptions are for people; a short one saves a continuation. */
export function extensionReference(): Buffer {
  const id = Buffer.from('RRIP_1991A', 'latin1');
  const bytes = entry('ER', 8 + id.length);
  bytes.set([id.length, 0, 0, 1], 4);
  id.copy(bytes, 8);
  return bytes;
}

/** Mode and number of links; owner and group are root. */
export function posixAttributes(mode: number, links: number): Buffer {
  const bytes = entry('PX', 36);
  [mode, links, 0, 0].forEach((value, n) => {
    bytes.writeUInt32LE(value, 4 + n * 8);
    bytes.writeUInt32BE(value, 8 + n * 8);
  });
  return bytes;
}

/** Times of modification, access and attribute change, all the same. */
export function timeStamps(seconds: number): Buffer {
  const bytes = entry('TF', 26);
  bytes[4] = 0x0e;
  for (let n = 0; n < 3; n++) shortTime(seconds).copy(bytes, 5 + n * 7);
  return bytes;
}

/** The name as it is. */
export function alternateName(name: Buffer): Buffer {
  const bytes = entry('NM', 5 + name.length);
  name.copy(bytes, 5);
  return bytes;
}
