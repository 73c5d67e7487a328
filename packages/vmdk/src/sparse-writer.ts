import { type Block, type ConvertJob, type DiskWriter, roundUp } from '@polyvisor/core';
import { type DescriptorOptions, encodeDescriptor } from './descriptor.js';
import { SECTOR } from './layout.js';
import { SparseExtentWriter } from './sparse-extent-writer.js';

export interface SparseOptions extends Pick<
  DescriptorOptions,
  'adapterType' | 'hardwareVersion' | 'contentId' | 'uuid' | 'toolsVersion'
> {
  readonly grain: number;
}

/** Writes a monolithicSparse VMDK: one extent with its descriptor inside, see `SparseExtentWriter`. */
export class SparseWriter implements DiskWriter {
  readonly size: number;
  readonly order = 'random';
  readonly #grain: number;
  readonly #extent: SparseExtentWriter;

  constructor(
    { size, sink, identity }: Pick<ConvertJob, 'size' | 'sink' | 'identity'>,
    { grain, ...options }: SparseOptions,
  ) {
    this.size = roundUp(size, grain);
    this.#grain = grain;
    const capacity = this.size / SECTOR;
    const descriptor = encodeDescriptor({
      ...options,
      capacity,
      createType: 'monolithicSparse',
      // Like a stream's, the name is read by nobody.
      extents: [`RW ${capacity} SPARSE "disk.vmdk"`],
      identity,
    });
    this.#extent = new SparseExtentWriter({ sink, size: this.size, grainSize: grain, descriptor });
  }

  async write({ offset, bytes, runs }: Block): Promise<void> {
    for (const run of runs(this.#grain))
      await this.#extent.write(bytes.subarray(run.offset, run.offset + run.length), offset + run.offset);
  }

  finish(): Promise<void> {
    return this.#extent.finish();
  }

  abort(): Promise<void> {
    return Promise.resolve();
  }
}
