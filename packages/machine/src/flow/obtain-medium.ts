import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { InstallerMedium, Medium, Start } from '@polyvisor/core';
import { checkNetboot, obtainFile } from '../external/index.js';
import { extractFromIso } from '../media/index.js';
import type { InstallStart } from './choose-start.js';
import type { Run } from './run.js';

/** An installer's medium on this computer, ready to be started. */
export interface ObtainedMedium {
  /** What it holds, as checksums by purpose: the same for equal media, wherever they came from. */
  readonly checksums: Readonly<Record<string, string>>;
  /** Attached while the installer runs. */
  readonly media: readonly Medium[];
  /** Makes files that the start needs. `arguments` are those of the kernel. */
  start(kernelArguments: readonly string[]): Promise<Start>;
}

export async function obtainMedium(run: Run, medium: InstallerMedium, start: InstallStart): Promise<ObtainedMedium> {
  return medium.kind === 'iso' ? obtainIso(run, medium, start) : obtainNetboot(run, medium, start);
}

async function obtainIso(
  { job }: Run,
  { image, kernel, initrd }: Extract<InstallerMedium, { kind: 'iso' }>,
  start: InstallStart,
): Promise<ObtainedMedium> {
  const { cacheDir, workDir, offline, emit, signal } = job;
  const { path, checksum } = await obtainFile(image, { cacheDir, workDir, offline, emit, signal });
  return {
    checksums: { iso: checksum },
    media: [{ kind: 'cdrom', path }],
    start: async (kernelArguments) => {
      if (start !== 'kernel' || kernel === undefined || initrd === undefined) return { kind: 'disk' };
      const files = { kernel: join(workDir, 'kernel'), initrd: join(workDir, 'initrd') };
      await extractFromIso(path, kernel, files.kernel, signal);
      await extractFromIso(path, initrd, files.initrd, signal);
      return { kind: 'kernel', ...files, arguments: kernelArguments };
    },
  };
}

async function obtainNetboot(
  { firmware, job }: Run,
  medium: Extract<InstallerMedium, { kind: 'netboot' }>,
  start: InstallStart,
): Promise<ObtainedMedium> {
  const { directory, kernel, initrd, bootFile } = await checkNetboot(medium, firmware);
  const files = { kernel, initrd, ...(bootFile === undefined ? {} : { boot: join(directory, bootFile) }) };
  const checksums: Record<string, string> = {};
  for (const [purpose, path] of Object.entries(files)) checksums[purpose] = await digest(path, job.signal);
  return {
    checksums,
    media: [],
    start: (kernelArguments) =>
      Promise.resolve(
        start === 'network' && bootFile !== undefined
          ? { kind: 'network', directory, bootFile }
          : { kind: 'kernel', kernel, initrd, arguments: kernelArguments },
      ),
  };
}

async function digest(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) {
    signal.throwIfAborted();
    hash.update(chunk as Buffer);
  }
  return `sha256:${hash.digest('hex')}`;
}
