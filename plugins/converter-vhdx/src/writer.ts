import { type ConvertJob, type DiskWriter, roundUp } from '@polyvisor/core';
import { DynamicVhdxWriter } from './dynamic-writer.js';
import { FixedVhdxWriter } from './fixed-writer.js';
import { batEntries, ENTRY, MIB } from './layout.js';
import type { VhdxOptions } from './options.js';

/** Largest disk that gets blocks of 2 MiB by default; its BAT has 16 MiB. */
const SMALL_BLOCKS_UP_TO = 4 * 2 ** 40;

export function createVhdxWriter(job: ConvertJob<VhdxOptions>): Promise<DiskWriter> {
  const { sink, identity, signal, options } = job;
  const logicalSector = options['logical-sector'];
  const size = roundUp(job.size, logicalSector);
  const blockSize = options.block ?? (size <= SMALL_BLOCKS_UP_TO ? 2 * MIB : 32 * MIB);
  const disk = {
    size,
    blockSize,
    fixed: options.subformat === 'fixed',
    logicalSector,
    physicalSector: options['physical-sector'],
    diskId: options.uuid ?? identity.uuid('vhdx disk id'),
  };
  const batLength = roundUp(batEntries(size, blockSize, logicalSector, false) * ENTRY.size, MIB);
  const file = {
    log: { offset: MIB, length: MIB },
    metadata: { offset: 2 * MIB, length: MIB },
    bat: { offset: 3 * MIB, length: batLength },
    fileWriteGuid: identity.uuid('vhdx file write'),
    dataWriteGuid: identity.uuid('vhdx data write'),
  };
  const target = { sink, disk, file, sparse: options.sparse === 'auto', signal };
  return Promise.resolve(disk.fixed ? new FixedVhdxWriter(target) : new DynamicVhdxWriter(target));
}
