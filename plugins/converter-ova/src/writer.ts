import { createHash } from 'node:crypto';
import { type Block, type ConvertJob, type DiskSink, type DiskWriter, roundUp } from '@polyvisor/core';
import { MAX_FILE_SIZE } from '@polyvisor/vmdk';
import { DiskSequence } from './disk-sequence.js';
import { type Machine, machineOf } from './machine.js';
import { manifestLine } from './manifest.js';
import type { OvaOptions } from './options.js';
import { type OvfDisk, ovfDocument } from './ovf.js';
import { TAR_BLOCK } from './tar.js';
import { encodeTarHeader } from './tar-header.js';
import { virtualBoxIds } from './virtualbox-machine.js';

/** Two blocks of zeros end an archive; ovftool adds no padding to them. */
const TRAILER = 2 * TAR_BLOCK;

/**
 * Writes an OVA in one pass: room is left for the descriptor and the manifest, whose lengths are known beforehand, the
 * disks are written behind them in place, and what depends on their lengths and digests is filled in at the end.
 *
 *   header .ovf | header .mf | { header disk … } | zeros
 *
 * A disk is hashed as it is written, front to back. Memory is that of the VMDK's writer.
 */
export class OvaWriter implements DiskWriter {
  readonly #job: ConvertJob<OvaOptions>;
  readonly #machine: Machine;
  readonly #disks: DiskSequence;
  readonly #names: { readonly ovf: string; readonly manifest: string; readonly disks: readonly string[] };
  /** Length of the descriptor, in bytes: enough for the longest numbers. */
  readonly #ovfRoom: number;
  readonly #manifestAt: number;
  /** Where the VMDKs start, of the disks begun so far. */
  readonly #diskAt: number[] = [];

  constructor(job: ConvertJob<OvaOptions>) {
    this.#job = job;
    const count = 1 + job.furtherDisks.length;
    this.#machine = machineOf(job.options, job.appliance, count);
    const { id } = this.#machine;
    this.#names = { ovf: `${id}.ovf`, manifest: `${id}.mf`, disks: diskNames(id, count) };
    this.#disks = new DiskSequence(job, this.#machine, (index) => Promise.resolve(this.#sinkOf(index)));
    this.#ovfRoom = Buffer.byteLength(this.#ovf(this.#names.disks.map(() => ({ fileSize: MAX_FILE_SIZE }))));
    const blank = createHash(job.options.manifest).digest('hex');
    this.#manifestAt = TAR_BLOCK + roundUp(this.#ovfRoom, TAR_BLOCK);
    const manifest = this.#manifest([blank, ...this.#names.disks.map(() => blank)]);
    this.#diskAt.push(this.#manifestAt + 2 * TAR_BLOCK + roundUp(manifest.length, TAR_BLOCK));
  }

  get size(): number {
    return this.#disks.size;
  }

  prepare(block: Block): void {
    this.#disks.prepare(block);
  }

  write(block: Block): Promise<void> {
    return this.#disks.write(block);
  }

  async nextDisk(): Promise<void> {
    await this.#disks.next();
  }

  async finish(): Promise<void> {
    await this.#disks.finish();
    const { finished } = this.#disks;
    const ovf = Buffer.alloc(this.#ovfRoom, ' ');
    // Space behind the root element is as good as any, and keeps the length that was foreseen.
    ovf.write(this.#ovf(finished).trimEnd());
    ovf.write('\n', ovf.length - 1);
    const digest = createHash(this.#job.options.manifest).update(ovf).digest('hex');
    const manifest = this.#manifest([digest, ...finished.map((disk) => disk.digest)]);
    const { sink } = this.#job;
    await sink.write(this.#member(this.#names.ovf, ovf), 0);
    await sink.write(this.#member(this.#names.manifest, manifest), this.#manifestAt);
    for (const [index, { fileSize }] of finished.entries())
      await sink.write(this.#header(this.#names.disks[index] ?? '', fileSize), this.#startOf(index) - TAR_BLOCK);
    const end = this.#endOf(finished.length - 1);
    await sink.write(new Uint8Array(TRAILER), end);
    await sink.end(end + TRAILER);
  }

  abort(): Promise<void> {
    return this.#disks.abort();
  }

  /** A window onto the archive, behind the disk before. */
  #sinkOf(index: number): DiskSink {
    if (index > 0) this.#diskAt[index] = this.#endOf(index - 1) + TAR_BLOCK;
    const start = this.#startOf(index);
    return {
      write: (bytes, offset) => this.#job.sink.write(bytes, start + offset),
      end: () => Promise.resolve(),
    };
  }

  #startOf(index: number): number {
    return this.#diskAt[index] ?? 0;
  }

  /** A VMDK is a whole number of sectors, so it needs no padding. */
  #endOf(index: number): number {
    return this.#startOf(index) + (this.#disks.finished[index]?.fileSize ?? 0);
  }

  #ovf(disks: readonly { readonly fileSize: number; readonly populated?: number }[]): string {
    const { capacities } = this.#disks;
    const described = disks.map(({ fileSize, populated }, index): OvfDisk => {
      const capacity = capacities[index] ?? 0;
      return { file: this.#names.disks[index] ?? '', fileSize, capacity, populated: populated ?? capacity };
    });
    return ovfDocument(this.#machine, described, virtualBoxIds(this.#job.identity, disks.length));
  }

  /** The digest of the descriptor comes first. */
  #manifest(digests: readonly string[]): Buffer {
    const names = [this.#names.ovf, ...this.#names.disks];
    const algorithm = this.#job.options.manifest;
    return Buffer.from(digests.map((digest, index) => manifestLine(algorithm, names[index] ?? '', digest)).join(''));
  }

  /** A member with its header and padding. */
  #member(name: string, content: Buffer): Buffer {
    const padded = Buffer.alloc(roundUp(content.length, TAR_BLOCK));
    content.copy(padded);
    return Buffer.concat([this.#header(name, content.length), padded]);
  }

  #header(name: string, size: number): Buffer {
    return encodeTarHeader({ name, size, modified: this.#job.identity.time });
  }
}

export function diskNames(base: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${base}-disk${index + 1}.vmdk`);
}
