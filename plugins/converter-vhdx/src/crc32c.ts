/** Castagnoli's polynomial, bits reversed. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
  return value;
});

/** `TABLE` of a byte with one, two and three zeros behind it, so that four bytes go into the sum at once. */
const TABLE_1 = TABLE.map(shifted);
const TABLE_2 = TABLE_1.map(shifted);
const TABLE_3 = TABLE_2.map(shifted);

function shifted(sum: number): number {
  return (sum >>> 8) ^ (TABLE[sum & 0xff] as number);
}

/** CRC-32C, in parts: pass the sum of what came before. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  let sum = ~before;
  let at = 0;
  // An iterator over the bytes would take several times as long.
  for (; at + 4 <= bytes.length; at += 4) {
    sum ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    sum =
      (TABLE_3[sum & 0xff] as number) ^
      (TABLE_2[(sum >>> 8) & 0xff] as number) ^
      (TABLE_1[(sum >>> 16) & 0xff] as number) ^
      (TABLE[sum >>> 24] as number);
  }
  for (; at < bytes.length; at++) sum = shifted(sum ^ (bytes[at] as number));
  return ~sum >>> 0;
}

const ZEROS = new Uint8Array(4);

/** CRC-32C of a structure that holds its own sum, which counts as zero. */
export function checksumWithout(bytes: Uint8Array, field: number): number {
  return crc32c(bytes.subarray(field + 4), crc32c(ZEROS, crc32c(bytes.subarray(0, field))));
}
