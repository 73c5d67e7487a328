import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ioError, OWNER_TAG, ownerIsGone, ownerTag, syncDirectory, writeAll } from '@polyvisor/core';
import type { Checksum } from './checksum.js';

/** Parts of dead processes that nobody asked for again are removed after a week, in milliseconds. */
const KEPT = 7 * 24 * 3600 * 1000;

const PIECE = 1024 ** 2;

// Parts that this process writes right now; others with its tag are left from an earlier failure.
const active = new Set<string>();
let parts = 0;

/**
 * A download in the making, hashed as it comes. Its name has its owner, so that a later run takes up what a dead one left, and
 * two at once never write to the same file.  part = open, { append | reset }, publish | remove | close.
 */
export class PartFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #algorithm: Checksum['algorithm'];
  #hash: Hash;
  #length = 0;
  #open = true;

  private constructor(path: string, handle: FileHandle, algorithm: Checksum['algorithm']) {
    this.path = path;
    this.#handle = handle;
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  /** Takes up what was left of the same file, or begins anew. What is there already is read once, for the checksum. */
  static async open(
    directory: string,
    key: string,
    algorithm: Checksum['algorithm'],
    signal: AbortSignal,
  ): Promise<PartFile> {
    const path = join(directory, `${key}.${ownerTag()}-${++parts}.part`);
    active.add(path);
    try {
      await takeUp(directory, key, path);
      const handle = await open(path, constants.O_RDWR | constants.O_CREAT);
      const part = new PartFile(path, handle, algorithm);
      await part.#readBack(signal).catch(async (error: unknown) => {
        await part.close();
        throw error;
      });
      return part;
    } catch (error) {
      active.delete(path);
      throw ioError(error, `cannot write a download to ${directory}`);
    }
  }

  get length(): number {
    return this.#length;
  }

  async append(bytes: Uint8Array): Promise<void> {
    await writeAll(this.#handle, bytes, this.#length, this.path);
    this.#hash.update(bytes);
    this.#length += bytes.length;
  }

  async reset(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = createHash(this.#algorithm);
    this.#length = 0;
  }

  /** Of all bytes so far. */
  checksum(): Checksum {
    return { algorithm: this.#algorithm, hex: this.#hash.copy().digest('hex') };
  }

  /** Makes it durable under its final name, at once and whole. */
  async publish(target: string): Promise<void> {
    try {
      await this.#handle.datasync();
      await this.close();
      await rename(this.path, target);
    } catch (error) {
      throw ioError(error, `cannot keep the download as ${target}`);
    }
    await syncDirectory(dirname(target));
  }

  /** Leaves the file for a later run. Idempotent. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    active.delete(this.path);
    await this.#handle.close();
    if (this.#length === 0) await rm(this.path, { force: true });
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }

  async #readBack(signal: AbortSignal): Promise<void> {
    const buffer = Buffer.allocUnsafe(PIECE);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await this.#handle.read(buffer, 0, PIECE, this.#length);
      if (bytesRead === 0) return;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.#length += bytesRead;
    }
  }
}

/** Makes the longest part that nobody writes any more our own. A rename is taken by one process only. */
async function takeUp(directory: string, key: string, path: string): Promise<void> {
  const left: { path: string; size: number }[] = [];
  for (const name of await readdir(directory)) {
    if (!name.startsWith(`${key}.`) || !isAbandoned(directory, name)) continue;
    const size = (await stat(join(directory, name)).catch(() => undefined))?.size ?? 0;
    left.push({ path: join(directory, name), size });
  }
  left.sort((one, other) => other.size - one.size);
  let taken = false;
  for (const each of left) {
    if (taken) await rm(each.path, { force: true });
    else
      taken = await rename(each.path, path).then(
        () => true,
        () => false,
      );
  }
}

/** Removes parts of dead processes that are older than `age` milliseconds. */
export async function removeStaleParts(directory: string, age: number = KEPT): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    if (!isAbandoned(directory, name)) continue;
    const changed = (await stat(join(directory, name)).catch(() => undefined))?.mtimeMs;
    if (changed !== undefined && Date.now() - changed >= age) await rm(join(directory, name), { force: true });
  }
}

function isAbandoned(directory: string, name: string): boolean {
  const tag = name.endsWith('.part') ? OWNER_TAG.exec(name.slice(name.indexOf('.')))?.[1] : undefined;
  if (tag === undefined) return false;
  return ownerIsGone(tag) || (tag === ownerTag() && !active.has(join(directory, name)));
}
