import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { DefinitionError } from '@polyvisor/core';

/** Something below a directory that is copied. Names are bytes, relative to it. */
export type TreeEntry =
  | { readonly kind: 'directory'; readonly name: Buffer; readonly mode: number }
  | {
      readonly kind: 'file';
      readonly name: Buffer;
      readonly mode: number;
      readonly size: number;
      readonly time: number;
    }
  | { readonly kind: 'link'; readonly name: Buffer; readonly target: Buffer; readonly time: number };

const SLASH = Buffer.from('/');

/** All of a directory, itself left out: directories before what is in them, names in order, links as links. */
export async function readTree(root: string, signal: AbortSignal): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = [];
  const visit = async (name: Buffer): Promise<void> => {
    signal.throwIfAborted();
    const children = await readdir(within(root, name), { encoding: 'buffer' });
    for (const child of children.sort((a, b) => Buffer.compare(a, b))) {
      const path = name.length === 0 ? child : Buffer.concat([name, SLASH, child]);
      const stats = await lstat(within(root, path));
      const entry = await entryOf(root, path, stats);
      entries.push(entry);
      if (entry.kind === 'directory') await visit(path);
    }
  };
  await visit(Buffer.alloc(0));
  return entries;
}

async function entryOf(root: string, name: Buffer, stats: Stats): Promise<TreeEntry> {
  const mode = stats.mode & 0o7777;
  const time = Math.max(0, Math.floor(stats.mtimeMs / 1000));
  if (stats.isDirectory()) return { kind: 'directory', name, mode };
  if (stats.isFile()) return { kind: 'file', name, mode, size: stats.size, time };
  if (stats.isSymbolicLink()) {
    return { kind: 'link', name, target: await readlink(within(root, name), { encoding: 'buffer' }), time };
  }
  throw new DefinitionError(
    'input-special',
    `${within(root, name).toString()} is a device, a socket or a pipe, which cannot be copied into a guest`,
    { hint: 'make it in a script of the definition' },
  );
}

/** The bytes of a file, as many as it had; it must not have become a link since, and must not end early. */
export async function* readFileBytes(path: string | Buffer, size: number): AsyncGenerator<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    for (let offset = 0; offset < size;) {
      // Each piece is a buffer of its own: the one before may still be on its way.
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(64 * 1024, size - offset)), {
        position: offset,
      });
      if (bytesRead === 0) throw new Error(`${path.toString()} became shorter while it was read`);
      yield buffer.subarray(0, bytesRead);
      offset += bytesRead;
    }
  } finally {
    await file.close();
  }
}

export function within(root: string, name: Buffer): Buffer {
  return name.length === 0 ? Buffer.from(root) : Buffer.concat([Buffer.from(root), SLASH, name]);
}
