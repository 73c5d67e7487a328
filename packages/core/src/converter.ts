import type { z } from 'zod';
import type { ApplianceFacts } from './appliance.js';
import type { Deflater } from './deflate.js';
import type { Block, DiskSink, DiskSource, ImageFile } from './disk.js';
import type { Finding } from './finding.js';
import type { Identity } from './identity.js';
import type { Patch } from './repair.js';
import { assertFits } from './fit.js';
import { parseOptions } from './options.js';

/** `append`: the file is written from front to back; what is left out reads as zeros. `random`: tables are patched later. */
export type WriteOrder = 'append' | 'random';

export interface ConverterCapabilities {
  /** How the file is written with the default options; `DiskWriter.order` tells it for the options of a job. */
  readonly order: WriteOrder;
  /** Largest disk that the format holds, in bytes. */
  readonly maxSize: number;
  /** Disk sizes are rounded up to a multiple of this many bytes, and the rounding is reported. */
  readonly sizeMultiple: number;
  /** Names of the compression methods that `create` can use; empty when the format stores data as it is. */
  readonly compression: readonly string[];
  /** Whom the images are for, as people name them: `KVM`, `XenServer`, `Hyper-V`, … */
  readonly hypervisors: readonly string[];
  /** Who loads images of this format, as `check --for` names them: `kvm`, `xenserver`, … Absent: `check` knows nobody's rules. */
  readonly consumers?: readonly string[];
  /** A file may describe a machine with more than one disk; see `ConvertJob.furtherDisks` and `ReadOptions.disk`. */
  readonly severalDisks?: boolean;
}

/** Everything a writer may know. It takes neither a clock nor randomness nor the environment: equal jobs give equal bytes. */
export interface ConvertJob<Options = unknown> {
  /** Guest-visible size in bytes, a multiple of 512. */
  readonly size: number;
  readonly sink: DiskSink;
  readonly output: OutputFiles;
  /** Sizes in bytes of the disks that follow the first; empty but for formats with `severalDisks`. */
  readonly furtherDisks: readonly number[];
  readonly options: Options;
  readonly identity: Identity;
  /** Compresses on all cores, and each part of a block only once, however many writers ask for it. */
  readonly deflater: Deflater;
  readonly appliance: ApplianceFacts;
  readonly signal: AbortSignal;
}

/** The files of one output, for formats that have more than one (a descriptor and what it describes). */
export interface OutputFiles {
  /** Final name of the file that `ConvertJob.sink` writes, without its folder: `disk.vmdk`. */
  readonly name: string;
  /**
   * Opens a further file beside it, by a plain name. It is ended by the writer, and gets its name together with the
   * whole set. Rejects where there is no beside: an output that goes to a pipe or a device.
   */
  beside(name: string): Promise<DiskSink>;
}

/**
 * output = disk, { nextDisk, disk }, ( finish | abort );  disk = { prepare | write }.
 *
 * Blocks ascend, never overlap and are never all zero. `write` is called for one block at a time; `prepare` is called
 * for each block before its `write`, up to a few blocks ahead, so that work which does not depend on the order
 * (compression) can start early. `abort` may be called at any time, also after a failed `write` or `finish`.
 */
export interface DiskWriter {
  /** Guest-visible size of the disk being written, in bytes: the job's size, or more where the format needs that. */
  readonly size: number;
  /** How the file is written with the options of this job; absent: as the capabilities say. */
  readonly order?: WriteOrder;
  prepare?(block: Block): void;
  write(block: Block): Promise<void>;
  /** The blocks of the next one of `ConvertJob.furtherDisks` follow. */
  nextDisk?(): Promise<void>;
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

/** What an image with a parent says about it. All of it is text from the file: shown, compared, never opened. */
export interface ParentReference {
  /** Names and paths found in the file, the preferred one first. */
  readonly names: readonly string[];
  /** What the parent's `OpenImage.linkId` must be; absent where the format does not say. */
  readonly linkId?: string;
}

/** An opened image which the user named as the parent of another one. */
export interface ParentImage {
  readonly path: string;
  readonly disk: DiskSource;
  readonly linkId: string | undefined;
}

export interface Snapshot {
  readonly id: string;
  readonly name: string;
  /** Seconds since the Unix epoch; absent when unknown. */
  readonly time?: number;
}

export interface ReadOptions {
  /** The parent that the user named, opened. Borrowed. Without it, an image that needs one opens, and its disk rejects reads. */
  readonly parent?: ParentImage;
  /** Which disk of several: its number from 1, or its name in the file. Absent: the only one; several are an error that lists them. */
  readonly disk?: string;
  /**
   * Expands a part of the image that is compressed as a whole into a temporary file of `size` bytes, so that it can be read
   * at any position; more or fewer bytes are a `FormatError`. The caller disposes it. Absent: such images are refused.
   */
  readonly expand?: (bytes: AsyncIterable<Uint8Array>, size: number) => Promise<ImageFile>;
}

export interface OpenImage {
  /** Owns the files beside the image that the reader opened; disposing closes them. */
  readonly disk: DiskSource;
  readonly facts: ImageFacts;
  /** What children of this image call it; absent where the format has no such thing. */
  readonly linkId?: string;
  /** Set when the rest of the disk is in another image, whether it was given or not. */
  readonly parent?: ParentReference;
  /** Internal snapshots; the disk is the active state, not one of them. */
  readonly snapshots?: readonly Snapshot[];
  /** Names and sizes in bytes of all disks, where a file can hold several. */
  readonly disks?: readonly { readonly name: string; readonly size: number }[];
  /** What a person should know although the disk can be read: an unclean shutdown, a copy that differs, … */
  readonly warnings?: readonly string[];
}

export interface CheckOptions {
  readonly signal: AbortSignal;
  /** The consumer that `--for` names, for rules that only matter to it; findings for others may be left out. */
  readonly consumer?: string;
  /** The present in seconds since the Unix epoch, for rules about times in the future. Absent: they are left out. */
  readonly now?: number;
}

export interface RepairOptions {
  /** The present in seconds since the Unix epoch, for times in the future. Absent: they are left as they are. */
  readonly now?: number;
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
  open(file: ImageFile, options?: ReadOptions): Promise<OpenImage>;
  /** Every rule of the format and of its consumers, as findings; a sound image has none. Reads tables, not data. */
  check?(file: ImageFile, options: CheckOptions): AsyncIterable<Finding>;
  /** What mends the image without guessing, in no particular order of offsets. Nothing: there is nothing to mend. */
  repair?(file: ImageFile, signal: AbortSignal, options?: RepairOptions): AsyncIterable<Patch>;
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
      for (const size of [job.size, ...job.furtherDisks]) assertFits(definition, size);
      return definition.create({ ...job, options });
    },
  };
}
