import { createHash } from 'node:crypto';
import type { Block, ConvertJob, DiskSink, DiskWriter } from '@polyvisor/core';
import { DiskSequence } from './disk-sequence.js';
import { identifierOf, type Machine, machineOf } from './machine.js';
import { manifestLine } from './manifest.js';
import type { OvaOptions } from './options.js';
import { ovfDocument } from './ovf.js';
import { virtualBoxIds } from './virtualbox-machine.js';
import { diskNames } from './writer.js';

/**
 * Writes an unpacked OVF: the descriptor is the output itself, and its disks and its manifest lie beside it, named after
 * it. Each file is written from front to back; the descriptor comes last. Memory is that of the VMDK's writer.
 */
export class OvfWriter implements DiskWriter {
  readonly #job: ConvertJob<OvaOptions>;
  readonly #machine: Machine;
  readonly #disks: DiskSequence;
  readonly #names: { readonly ovf: string; readonly manifest: string; readonly disks: readonly string[] };

  constructor(job: ConvertJob<OvaOptions>) {
    this.#job = job;
    const count = 1 + job.furtherDisks.length;
    this.#machine = machineOf(job.options, job.appliance, count);
    const { name } = job.output;
    // Importers look for the manifest under the descriptor's own name; the disks get one that needs no escapes anywhere.
    const base = name.replace(/\.ovf$/i, '');
    this.#names = { ovf: name, manifest: `${base}.mf`, disks: diskNames(identifierOf(base), count) };
    this.#disks = new DiskSequence(job, this.#machine, (index) => job.output.beside(this.#names.disks[index] ?? ''));
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
    const { finished, capacities } = this.#disks;
    const { options, identity, output, sink } = this.#job;
    const described = finished.map(({ fileSize, populated }, index) => ({
      file: this.#names.disks[index] ?? '',
      fileSize,
      capacity: capacities[index] ?? 0,
      populated,
    }));
    const ovf = Buffer.from(ovfDocument(this.#machine, described, virtualBoxIds(identity, finished.length)));
    const line = (name: string, digest: string) => manifestLine(options.manifest, name, digest);
    const manifest = [
      line(this.#names.ovf, createHash(options.manifest).update(ovf).digest('hex')),
      ...finished.map(({ digest }, index) => line(this.#names.disks[index] ?? '', digest)),
    ];
    await writeWhole(await output.beside(this.#names.manifest), Buffer.from(manifest.join('')));
    await writeWhole(sink, ovf);
  }

  abort(): Promise<void> {
    return this.#disks.abort();
  }
}

async function writeWhole(sink: DiskSink, bytes: Uint8Array): Promise<void> {
  await sink.write(bytes, 0);
  await sink.end(bytes.length);
}
