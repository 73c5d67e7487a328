/** Rounds up to a multiple. Exact for safe integers; `multiple` need not be a power of two. */
export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Largest block compared at once by `isZero`; a view, so that no memory is copied. */
const ZEROS = Buffer.alloc(64 * 1024);

/** Whether every byte is zero. `Buffer.compare` runs at memory speed; a loop in JavaScript does not. */
export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (Buffer.compare(part, part.length === ZEROS.length ? ZEROS : ZEROS.subarray(0, part.length)) !== 0) return false;
  }
  return true;
}

/** `length` bytes from `start`, filled up with zeros where they end before that. Copies only then. */
export function padded(bytes: Uint8Array, start: number, length: number): Uint8Array {
  if (start + length <= bytes.length) return bytes.subarray(start, start + length);
  const whole = new Uint8Array(length);
  whole.set(bytes.subarray(start));
  return whole;
}

/** Bytes for people: `1.4 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit] ?? ''}`;
}
