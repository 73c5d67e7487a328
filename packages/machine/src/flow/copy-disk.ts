import { DefinitionError, type DiskSourceImage, resizedDisk } from '@polyvisor/core';
import { obtainFile } from '../external/index.js';
import type { Run } from './run.js';

/** Copies an existing disk into the hypervisor's format, grown to the size of the appliance's. The original stays as it is. */
export async function copyDisk(run: Run, source: DiskSourceImage, path: string): Promise<void> {
  const { job, capabilities } = run;
  const { appliance, cacheDir, workDir, offline, images, emit, signal } = job;
  const obtained = await obtainFile(source.image, { cacheDir, workDir, offline, emit, signal });
  await using original = await images.open(obtained.path, source.format);
  signal.throwIfAborted();
  const { size } = appliance.disk;
  if (size < original.size)
    throw new DefinitionError(
      'disk-too-small',
      `the disk of ${appliance.name} is to have ${size} bytes, and the one that it is made from has ${original.size}`,
      { hint: `ask for a disk of at least ${Math.ceil(original.size / 1024 ** 2)} MiB: it can be grown, not cut` },
    );
  await using resized = await resizedDisk(original, size, signal);
  await images.write(resized, capabilities.diskFormat, path);
}
