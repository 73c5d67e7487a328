/** Bytes of a logical sector, and of a logical block on the media that we write. */
export const SECTOR = 2048;

/** First sector of the volume descriptors; those before it are for boot loaders. */
export const FIRST_DESCRIPTOR = 16;

/** Writes a number in both byte orders, four bytes each (ECMA-119 §7.3.3). */
export function bothOrders32(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32LE(value, offset);
  buffer.writeUInt32BE(value, offset + 4);
}

/** Writes a number in both byte orders, two bytes each (ECMA-119 §7.2.3). */
export function bothOrders16(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt16LE(value, offset);
  buffer.writeUInt16BE(value, offset + 2);
}

/** A time of a directory record, seven bytes (ECMA-119 §9.1.5), in UTC. Years fit from 1900 to 2155. */
export function shortTime(seconds: number): Buffer {
  const date = new Date(seconds * 1000);
  const year = Math.min(255, Math.max(0, date.getUTCFullYear() - 1900));
  const rest = [date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes()];
  return Buffer.from([year, ...rest, date.getUTCSeconds(), 0]);
}

/** A time of a volume descriptor, sixteen digits and the offset from UTC (ECMA-119 §8.4.26.1). */
export function longTime(seconds: number): Buffer {
  const digits = new Date(seconds * 1000).toISOString().replaceAll(/\D/g, '').slice(0, 16);
  return Buffer.concat([Buffer.from(digits, 'latin1'), Buffer.of(0)]);
}

/** No time at all. */
export const NO_TIME = Buffer.concat([Buffer.from('0'.repeat(16), 'latin1'), Buffer.of(0)]);
