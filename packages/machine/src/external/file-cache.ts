import { createHash } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, makeDirectory, ownerTag } from '@polyvisor/core';
import { type Checksum, checksumOf, formatChecksum } from './checksum.js';

/** A time of the file system that is younger than this cannot tell two changes from each other, in nanoseconds. */
const COARSEST_CLOCK = 2_000_000_000n;

let stamps = 0;

/**
 * Downloaded files by what they hold (`sha256-…`), and what is known of files that were checked. Hashing gigabytes for every
 * build would take longer than many a build, so a file whose size, inode and times of change are those that it had when it
 * was hashed is taken for the same. Whoever can forge the time of a status change owns the machine.
 */
export class FileCache {
  readonly directory: string;
  readonly #log: Logger;

  constructor(cacheDir: string, log: Logger) {
    this.directory = join(cacheDir, 'files');
    this.#log = log;
  }

  path({ algorithm, hex }: Checksum): string {
    return join(this.directory, `${algorithm}-${hex}`);
  }

  /** The path of the file with this checksum, if it is there and unharmed; a harmed one is removed. */
  async find(wanted: Checksum, signal: AbortSignal): Promise<string | undefined> {
    const path = this.path(wanted);
    if (!((await stat(path).catch(() => undefined))?.isFile() ?? false)) return undefined;
    const found = await this.checksum(path, wanted.algorithm, signal);
    if (found.hex === wanted.hex) return path;
    this.#log.warn(`${path} was changed since it was downloaded (it gives ${formatChecksum(found)}); it is removed`);
    await rm(path, { force: true });
    return undefined;
  }

  /** The checksum of any file, from memory where the file was not touched since. */
  async checksum(path: string, algorithm: Checksum['algorithm'], signal: AbortSignal): Promise<Checksum> {
    const memory = join(this.directory, 'checked', keyOf(path, algorithm));
    const stamp = await stampOf(path);
    const [known, hex] = ((await readFile(memory, 'utf8').catch(() => '')) || '').split('\n');
    if (stamp !== undefined && known === stamp.text && hex !== undefined && /^[0-9a-f]{64,128}$/.test(hex))
      return { algorithm, hex };
    const found = await checksumOf(path, algorithm, signal);
    const after = await stampOf(path);
    if (stamp?.settled === true && stamp.text === after?.text)
      await this.#remember(memory, `${stamp.text}\n${found.hex}\n`);
    return found;
  }

  /** Only saves time: that it cannot be written is no reason to fail. */
  async #remember(memory: string, text: string): Promise<void> {
    const part = `${memory}.${ownerTag()}-${++stamps}`;
    try {
      await makeDirectory(join(this.directory, 'checked'));
      await writeFile(part, text);
      await rename(part, memory);
    } catch {
      await rm(part, { force: true }).catch(() => undefined);
    }
  }
}

function keyOf(path: string, algorithm: string): string {
  return createHash('sha256').update(`${algorithm}\0${path}`).digest('hex');
}

/** What changes whenever the file does; `settled` unless it may change again without that being seen. */
async function stampOf(path: string): Promise<{ text: string; settled: boolean } | undefined> {
  const stats = await stat(path, { bigint: true }).catch(() => undefined);
  if (stats === undefined) return undefined;
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  const age = BigInt(Date.now()) * 1_000_000n - ctimeNs;
  return { text: [dev, ino, size, mtimeNs, ctimeNs].join(' '), settled: age > COARSEST_CLOCK };
}
