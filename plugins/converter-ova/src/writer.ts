import { createHash, type Hash } from 'node:crypto';
import { type Block, type ConvertJob, type DiskSink, type DiskWriter, roundUp } from '@polyvisor/core';
import { MAX_FILE_SIZE, StreamWriter } from '@polyvisor/vmdk';
import { type Machine, machineOf } from './machine.js';
import { manifestLine } from './manifest.js';
import { type OvaOptions } from './options.js';
import { ovfDocument } from './ovf.js';
import { TAR_BLOCK } from './tar.js';
import { virtualBoxIds } from './virtualbox-machine.js';
import { encodeTarHeader } from './tar-header.js';

/** Two blocks of zeros end an archive; ovftool adds no padding to them. */
const TRAILER = 2 * TAR_BLOCK;

/**
 * Writes an OVA in one pass: room is left for the descriptor and the manifest, whose lengths are known beforehand, the
 * disk is written behind them in place, and what depends on its length and digest is filled in at the end.
 *
 *   header .ovf | header .mf | header disk … | zeros
 *
 * The disk is hashed as it is written, front to back. Memory is that of the VMDK's writer.
 */
export class OvaWriter implements DiskWriter {
  readonly #job: ConvertJob<OvaOptions>;
  readonly #machine: Machine;
  readonly #disk: StreamWriter;
  readonly #hash: Hash;
  readonly #names: { readonly ovf: string; readonly manifest: string; readonly disk: string };
  /** Length of the descriptor, in bytes: enough for the longest numbers. */
  readonly #ovfRoom: number;
  readonly #manifestAt: number;
  readonly #diskAt: number;
  /** Length of the VMDK, in bytes, once it is complete. */
  #diskLength = 0;

  constructor(job: ConvertJob<OvaOptions>) {
    this.#job = job;
    this.#machine = machineOf(job.options, job.appliance);
    const { id, controller, hardware } = this.#machine;
    this.#names = { ovf: `${id}.ovf`, manifest: `${id}.mf`, disk: `${id}-disk1.vmdk` };
    this.#hash = createHash(job.options.manifest);
    const sink: DiskSink = {
      write: (bytes, offset) => {
        this.#hash.update(bytes);
        return job.sink.write(bytes, this.#diskAt + offset);
      },
      end: (size) => {
        this.#diskLength = size;
        return Promise.resolve();
      },
    };
    this.#disk = new StreamWriter(
      { size: job.size, sink, identity: job.identity, deflater: job.deflater },
      {
        adapterType: controller === 'ide' || controller === 'sata' ? 'ide' : 'lsilogic',
        hardwareVersion: hardware,
        level: job.options.level,
      },
    );
    this.#ovfRoom = Buffer.byteLength(this.#ovf(MAX_FILE_SIZE, this.#disk.size));
    const blank = createHash(job.options.manifest).digest('hex');
    this.#manifestAt = TAR_BLOCK + roundUp(this.#ovfRoom, TAR_BLOCK);
    this.#diskAt = this.#manifestAt + 2 * TAR_BLOCK + roundUp(this.#manifest(blank, blank).length, TAR_BLOCK);
  }

  get size(): number {
    return this.#disk.size;
  }

  prepare(block: Block): void {
    this.#disk.prepare(block);
  }

  write(block: Block): Promise<void> {
    return this.#disk.write(block);
  }

  async finish(): Promise<void> {
    await this.#disk.finish();
    const ovf = Buffer.alloc(this.#ovfRoom, ' ');
    // Space behind the root element is as good as any, and keeps the length that was foreseen.
    ovf.write(this.#ovf(this.#diskLength, this.#disk.allocated).trimEnd());
    ovf.write('\n', ovf.length - 1);
    const manifest = this.#manifest(
      createHash(this.#job.options.manifest).update(ovf).digest('hex'),
      this.#hash.digest('hex'),
    );
    const { sink } = this.#job;
    await sink.write(this.#member(this.#names.ovf, ovf), 0);
    await sink.write(this.#member(this.#names.manifest, manifest), this.#manifestAt);
    await sink.write(this.#header(this.#names.disk, this.#diskLength), this.#diskAt - TAR_BLOCK);
    // A VMDK is a whole number of sectors, so it needs no padding.
    await sink.write(new Uint8Array(TRAILER), this.#diskAt + this.#diskLength);
    await sink.end(this.#diskAt + this.#diskLength + TRAILER);
  }

  abort(): Promise<void> {
    return this.#disk.abort();
  }

  #ovf(fileSize: number, populated: number): string {
    const disk = { file: this.#names.disk, fileSize, capacity: this.#disk.size, populated };
    return ovfDocument(this.#machine, disk, virtualBoxIds(this.#job.identity));
  }

  #manifest(ovf: string, disk: string): Buffer {
    const algorithm = this.#job.options.manifest;
    return Buffer.from(manifestLine(algorithm, this.#names.ovf, ovf) + manifestLine(algorithm, this.#names.disk, disk));
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
