import type { DiskSink, ImageFile } from './disk.js';
import type { Patch } from './repair.js';

/** Bytes copied at once. */
const CHUNK = 1024 * 1024;

/** Reasons that are told one by one. They may hold offsets, so that a hostile image could have any number of them. */
const MAX_REASONS = 1000;

/** Why an image was changed, and how often for that reason. */
export interface Mended {
  readonly reason: string;
  readonly patches: number;
}

/** What came of a repair. */
export interface RepairSummary {
  /** In the order in which the reasons came up; those beyond a thousand are counted together. */
  readonly mended: readonly Mended[];
  readonly patches: number;
  /** Length of the file in bytes with the patches in it. */
  readonly size: number;
}

export interface CopyOptions {
  readonly signal: AbortSignal;
  /** Bytes copied so far, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Checks patches as they come and counts their reasons. A patch may start anywhere from the start of the file to its end, the growth
 * by earlier patches included: a gap would hold bytes that nobody chose. Memory does not depend on the number of patches.
 */
export class PatchTally {
  readonly #reasons = new Map<string, number>();
  #size: number;
  #patches = 0;
  #others = 0;

  constructor(size: number) {
    this.#size = size;
  }

  add({ offset, bytes, reason }: Patch): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset > this.#size) {
      throw new Error(`a repair wants to change byte ${offset} of a file of ${this.#size} bytes (${reason})`);
    }
    this.#size = Math.max(this.#size, offset + bytes.length);
    this.#patches++;
    const count = this.#reasons.get(reason);
    if (count === undefined && this.#reasons.size >= MAX_REASONS) this.#others++;
    else this.#reasons.set(reason, (count ?? 0) + 1);
  }

  summary(): RepairSummary {
    const mended = Array.from(this.#reasons, ([reason, patches]) => ({ reason, patches }));
    if (this.#others > 0) mended.push({ reason: 'further reasons, not listed', patches: this.#others });
    return { mended, patches: this.#patches, size: this.#size };
  }
}

/**
 * Writes a copy of a file with patches in it. Holes stay holes. The patches are taken while the file is as it was, and later ones
 * win where they overlap; nothing is written, not even the end, when there are none. The caller owns file and sink.
 */
export async function copyPatched(
  file: ImageFile,
  patches: AsyncIterable<Patch>,
  sink: DiskSink,
  options: CopyOptions,
): Promise<RepairSummary> {
  const tally = new PatchTally(file.size);
  let copied = false;
  for await (const patch of patches) {
    options.signal.throwIfAborted();
    tally.add(patch);
    if (!copied) await copyFile(file, sink, options);
    copied = true;
    await sink.write(patch.bytes, patch.offset);
  }
  const summary = tally.summary();
  if (copied) await sink.end(summary.size);
  return summary;
}

async function copyFile(file: ImageFile, sink: DiskSink, { signal, onProgress }: CopyOptions): Promise<void> {
  let total = 0;
  for await (const { length } of file.extents(signal)) total += length;
  const buffer = new Uint8Array(CHUNK);
  let done = 0;
  for await (const { offset, length } of file.extents(signal)) {
    for (let at = 0; at < length; at += CHUNK) {
      signal.throwIfAborted();
      const part = buffer.subarray(0, Math.min(CHUNK, length - at));
      await file.read(part, offset + at);
      await sink.write(part, offset + at);
      done += part.length;
      onProgress?.(done, Math.max(done, total));
    }
  }
}
