import type { ConvertJob, DiskWriter } from '@polyvisor/core';
import { SeveralFilesWriter, SparseWriter, StreamWriter } from '@polyvisor/vmdk';
import { DEFAULT_GRAIN, DEFAULT_LEVEL, type VmdkOptions } from './options.js';

export async function createVmdkWriter(job: ConvertJob<VmdkOptions>): Promise<DiskWriter> {
  const { subformat, adapter, hardware, level = DEFAULT_LEVEL, grain = DEFAULT_GRAIN, cid, uuid, tools } = job.options;
  const common = {
    adapterType: adapter,
    hardwareVersion: hardware,
    contentId: cid,
    uuid,
    toolsVersion: tools,
    grain,
  };
  if (subformat === 'streamOptimized') return new StreamWriter(job, { ...common, level });
  if (subformat === 'monolithicSparse') return new SparseWriter(job, common);
  return SeveralFilesWriter.create(job, { ...common, createType: subformat });
}
