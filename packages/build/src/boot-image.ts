import { dirname, resolve } from 'node:path';
import {
  type Architecture,
  type Booter,
  type BootReport,
  type DiskConverter,
  EnvironmentError,
  type Emit,
  type Firmware,
  FormatError,
  openImageFile,
  stage,
  makeDirectory,
} from '@polyvisor/core';
import { cleanWorkRoot, createWorkDirectory } from './work-directory.js';

export interface BootImageOptions {
  readonly path: string;
  /** The converter of the image's format. */
  readonly converter: DiskConverter;
  readonly booter: Booter;
  readonly architecture: Architecture;
  readonly firmware: Firmware;
  /** Default: the booter's first. */
  readonly bus?: string | undefined;
  readonly cpus: number;
  /** In bytes. */
  readonly memory: number;
  /** Default: a login prompt. */
  readonly expect?: RegExp | undefined;
  /** In milliseconds, with hardware acceleration. Default: 180000. */
  readonly timeout?: number | undefined;
  /** Where the temporary directory is made. */
  readonly workRoot: string;
  /** Its directory is made when missing. */
  readonly consoleLog: string;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** Boots one finished image, without changing it. */
export async function bootImage(options: BootImageOptions): Promise<BootReport> {
  const { booter, converter, firmware, emit, signal } = options;
  const path = resolve(options.path);
  const probe = await booter.probe(signal);
  if (!probe.usable)
    throw new EnvironmentError('not-usable', `${booter.id} cannot boot images on this machine: ${probe.reason}`, {
      hint: probe.hint,
    });
  if (!booter.capabilities.firmware.includes(firmware)) {
    throw new EnvironmentError('firmware-missing', `${booter.id} cannot boot under ${firmware} here`, {
      hint: (probe.notes ?? []).join('; ') || '`polyvisor doctor` tells more',
    });
  }
  if (converter.blockNode === undefined) {
    throw new FormatError('not-bootable', `${booter.id} cannot open images of the format ${converter.id}`, {
      file: options.path,
      hint: 'convert it first: `polyvisor convert <image> --to qcow2`',
    });
  }
  await using image = await openImageFile(path);
  const node = await converter.blockNode(image);
  await cleanWorkRoot(options.workRoot, emit, signal);
  await using work = await createWorkDirectory(options.workRoot, { command: 'boot', subject: path });
  await makeDirectory(dirname(resolve(options.consoleLog)));
  // Awaited here, or the work directory would be gone before the guest is.
  return await stage(
    emit,
    'boot',
    `booting ${options.path} under ${firmware.toUpperCase()}`,
    () =>
      booter.boot({
        path: options.path,
        node,
        architecture: options.architecture,
        firmware,
        ...(options.bus === undefined ? {} : { bus: options.bus }),
        cpus: options.cpus,
        memory: options.memory,
        expect: options.expect ?? /login:/,
        timeout: options.timeout ?? 180_000,
        workDir: work.path,
        consoleLog: resolve(options.consoleLog),
        emit,
        signal,
      }),
    ({ matched }) => matched.trim(),
  );
}
