import type { z } from 'zod';
import type { ApplianceFacts } from './appliance.js';
import type { Deflater } from './deflate.js';
import type { Block, DiskSink, DiskSource, ImageFile } from './disk.js';
import type { Identity } from './identity.js';
import { assertFits } from './fit.js';
import { parseOptions } from './options.js';

export interface ConverterCapabilities {
  /** `append`: the sink is written strictly from front to back. `random`: tables are patched later. */
  readonly order: 'append' | 'random';
  /** Largest disk that the format holds, in bytes. */
  readonly maxSize: number;
  /** Disk sizes are rounded up to a multiple of this many bytes, and the rounding is reported. */
  readonly sizeMultiple: number;
  /** Names of the compression methods that `create` can use; empty when the format stores data as it is. */
  readonly compression: readonly string[];
  /** Whom the images are for, as people name them: `KVM`, `XenServer`, `Hyper-V`, … */
  readonly hypervisors: readonly string[];
}

/** Everything a writer may know. It takes neither a clock nor randomness nor the environment: equal jobs give equal bytes. */
export interface ConvertJob<Options = unknown> {
  /** Guest-visible size in bytes, a multiple of 512. */
  readonly size: number;
  readonly sink: DiskSink;
  readonly options: Options;
  readonly identity: Identity;
  /** Compresses on all cores, and each part of a block only once, however many writers ask for it. */
  readonly deflater: Deflater;
  readonly appliance: ApplianceFacts;
  readonly signal: AbortSignal;
}

/**
 * output = { prepare | write }, ( finish | abort ).
 *
 * Blocks ascend, never overlap and are never all zero. `write` is called for one block at a time; `prepare` is called
 * for each block before its `write`, up to a few blocks ahead, so that work which does not depend on the order
 * (compression) can start early. `abort` may be called at any time, also after a failed `write` or `finish`.
 */
export interface DiskWriter {
  /** Guest-visible size of the disk being written, in bytes: the job's size, or more where the format needs that. */
  readonly size: number;
  prepare?(block: Block): void;
  write(block: Block): Promise<void>;
  /** Completes the image and ends the sink. */
  finish(): Promise<void>;
  /** Releases what the writer itself holds; the sink belongs to the caller. */
  abort(): Promise<void>;
}

/**
 * How QEMU's own drivers open an image: a block node in the notation of its `blockdev-add` command, files by absolute
 * path. Lets a finished image be booted as it is, read by code that is not ours.
 */
export interface BlockNode {
  readonly driver: string;
  readonly [key: string]: unknown;
}

/** What `inspect` tells beyond sizes: labels to values, in the order to print. */
export type ImageFacts = Readonly<Record<string, string | number | boolean>>;

export interface OpenImage {
  readonly disk: DiskSource;
  readonly facts: ImageFacts;
}

/** One output format. Registered by a plugin; neither the host nor the command line knows any format by name. */
export interface DiskConverter {
  /** Name on the command line, such as `xen-vhd`. */
  readonly id: string;
  /** With its dot, such as `.vhd`. */
  readonly extension: string;
  /** One line for people. */
  readonly summary: string;
  readonly capabilities: ConverterCapabilities;
  /** Strict object schema with a description on every option; printed as help and as JSON Schema. */
  readonly options: z.ZodType;
  /** How sure this converter is that the file is of its format. Never follows a name found inside the file. */
  detect(file: ImageFile): Promise<Detection>;
  /** Checks the options (`DefinitionError`) and that the disk fits, before anything is written. */
  create(job: ConvertJob): Promise<DiskWriter>;
  /** Opens an image of this format for reading; borrows the file. Shares nothing with `create` but the layout constants. */
  open(file: ImageFile): Promise<OpenImage>;
  /** Absent when QEMU cannot read the format. */
  blockNode?(file: ImageFile): Promise<BlockNode>;
}

export type Detection = 'no' | 'maybe' | 'yes';

/** A converter as its author writes it, with its own options type. */
export interface ConverterDefinition<Schema extends z.ZodType> extends Omit<DiskConverter, 'options' | 'create'> {
  readonly options: Schema;
  create(job: ConvertJob<z.output<Schema>>): Promise<DiskWriter>;
}

/**
 * Turns a typed definition into a `DiskConverter`: options are parsed and the size is checked before `create` sees them.
 * The public interface is not generic because a list of converters with different options would not type-check.
 */
export function defineConverter<Schema extends z.ZodType>(definition: ConverterDefinition<Schema>): DiskConverter {
  return {
    ...definition,
    create: async (job) => {
      const options = parseOptions(`--to ${definition.id}`, definition.options, job.options);
      assertFits(definition, job.size);
      return definition.create({ ...job, options });
    },
  };
}
