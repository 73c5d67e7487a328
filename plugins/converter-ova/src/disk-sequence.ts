import { createHash, type Hash } from 'node:crypto';
import { type Block, type ConvertJob, type DiskSink, type Identity, roundUp } from '@polyvisor/core';
import { GRAIN_SIZE, StreamWriter } from '@polyvisor/vmdk';
import type { Machine } from './machine.js';
import type { OvaOptions } from './options.js';

/** A disk that is complete. Sizes in bytes. */
export interface FinishedDisk {
  readonly fileSize: number;
  /** Of the capacity, what is stored. */
  readonly populated: number;
  readonly digest: string;
}

/** Opens the file of the disk with that index, from 0. */
export type OpenSink = (index: number) => Promise<DiskSink>;

/** Writes the disks of an appliance one after the other, each as a VMDK, and hashes them on their way. */
export class DiskSequence {
  /** Guest-visible sizes, in bytes, known from the start. */
  readonly capacities: readonly number[];
  readonly finished: FinishedDisk[] = [];
  readonly #job: ConvertJob<OvaOptions>;
  readonly #machine: Machine;
  readonly #open: OpenSink;
  readonly #sizes: readonly number[];
  #current: { readonly disk: StreamWriter; readonly hash: Hash; length: number };

  constructor(job: ConvertJob<OvaOptions>, machine: Machine, open: OpenSink) {
    this.#job = job;
    this.#machine = machine;
    this.#open = open;
    this.#sizes = [job.size, ...job.furtherDisks];
    this.capacities = this.#sizes.map((size) => roundUp(size, GRAIN_SIZE));
    this.#current = this.#start(0);
  }

  get size(): number {
    return this.#current.disk.size;
  }

  prepare(block: Block): void {
    this.#current.disk.prepare(block);
  }

  write(block: Block): Promise<void> {
    return this.#current.disk.write(block);
  }

  async next(): Promise<void> {
    await this.#end();
    if (this.finished.length === this.#sizes.length) throw new Error('there are no further disks');
    this.#current = this.#start(this.finished.length);
  }

  async finish(): Promise<void> {
    await this.#end();
    if (this.finished.length < this.#sizes.length) throw new Error('some disks were not written');
  }

  abort(): Promise<void> {
    return this.#current.disk.abort();
  }

  async #end(): Promise<void> {
    const { disk, hash } = this.#current;
    await disk.finish();
    this.finished.push({ fileSize: this.#current.length, populated: disk.allocated, digest: hash.digest('hex') });
  }

  #start(index: number): { readonly disk: StreamWriter; readonly hash: Hash; length: number } {
    const { options, identity, deflater } = this.#job;
    const hash = createHash(options.manifest);
    let opened: Promise<DiskSink> | undefined;
    const sink: DiskSink = {
      write: async (bytes, offset) => {
        hash.update(bytes);
        await (await (opened ??= this.#open(index))).write(bytes, offset);
      },
      end: async (size) => {
        current.length = size;
        await (await (opened ??= this.#open(index))).end(size);
      },
    };
    const { controller, hardware } = this.#machine;
    const disk = new StreamWriter(
      { size: this.#sizes[index] ?? 0, sink, identity: identityOf(identity, index), deflater },
      {
        adapterType: controller === 'ide' || controller === 'sata' ? 'ide' : 'lsilogic',
        hardwareVersion: hardware,
        level: options.level,
      },
    );
    const current = { disk, hash, length: 0 };
    return current;
  }
}

/** Further disks get content identifiers of their own. */
function identityOf(identity: Identity, index: number): Identity {
  if (index === 0) return identity;
  return {
    ...identity,
    bytes: (purpose, length) => identity.bytes(`${purpose}, disk ${index + 1}`, length),
    uuid: (purpose) => identity.uuid(`${purpose}, disk ${index + 1}`),
  };
}
