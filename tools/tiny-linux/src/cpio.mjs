/** Kinds of entry, as in the high bits of a file's mode. */
export const DIRECTORY = 0o040000;
export const FILE = 0o100000;
export const LINK = 0o120000;
export const CHARACTER_DEVICE = 0o020000;

const TRAILER = 'TRAILER!!!';

/**
 * An archive as the kernel unpacks it into its first file system ("newc"), all of it owned by root, all of the same time. Entries:
 * `{ path, mode, content?, device? }`, parents first; `mode` with the kind, `device` as [major, minor].
 */
export function cpioArchive(entries) {
  const parts = [...entries, { path: TRAILER, mode: 0 }].flatMap((entry, index) => member(entry, index + 1));
  return pad(Buffer.concat(parts), 512);
}

function member({ path, mode, content = Buffer.alloc(0), device = [0, 0] }, inode) {
  const name = Buffer.from(`${path}\0`);
  const links = (mode & DIRECTORY) === DIRECTORY && (mode & FILE) !== FILE ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, ...device, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return [pad(Buffer.concat([Buffer.from(header), name]), 4), pad(Buffer.from(content), 4)];
}

function pad(bytes, unit) {
  const missing = (unit - (bytes.length % unit)) % unit;
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}
