import type { z } from 'zod';
import type { Appliance, Architecture, Firmware } from './appliance.js';
import type { DiskSource } from './disk.js';
import type { Emit } from './events.js';
import type { Identity } from './identity.js';
import type { Source } from './source.js';

/** Whether something can work on this machine, found out without side effects. */
export type Probe =
  | { readonly usable: true; readonly version: string; readonly notes?: readonly string[] }
  | {
      readonly usable: false;
      readonly reason: string;
      readonly hint: string;
      readonly debianPackages?: readonly string[];
    };

export interface ProvisionerCapabilities {
  readonly architectures: readonly Architecture[];
  readonly firmware: readonly Firmware[];
  /** Kinds of source that it can start from. */
  readonly sources: readonly Source['kind'][];
}

/** Reads and writes disk images in the formats of all loaded plugins. */
export interface Images {
  /** Opens an image, recognising its format unless it is named. The source owns the file. */
  open(path: string, format?: string): Promise<DiskSource>;
  /** Writes a disk to a new file, which appears whole or not at all. Borrows the disk. */
  write(disk: DiskSource, format: string, path: string): Promise<void>;
}

export interface ProvisionJob {
  readonly appliance: Appliance;
  readonly options: unknown;
  /**
   * A POSIX shell script that makes the system anonymous. Run last, as the guest's root, with the guest's file system
   * as `/`. Prints one line for each thing it reset; these go into the log.
   */
  readonly seal: string;
  readonly identity: Identity;
  /** Everything temporary goes below this directory, which exists, is the job's alone and is removed by the caller. */
  readonly workDir: string;
  /** Kept between runs and shared with others that run at the same time; exists. */
  readonly cacheDir: string;
  /** Use only what the cache has; never the network. */
  readonly offline: boolean;
  /** Logs and pictures of what went wrong go here; exists, and outlives a failure. */
  readonly logDir: string;
  readonly images: Images;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** The disk that a provisioner made. Disposing it releases all that was made on the way. */
export interface ProvisionedDisk extends AsyncDisposable {
  readonly disk: DiskSource;
  /** Versions of what the system is made of (packages, kernel, boot loader), for the manifest. */
  readonly inventory: Readonly<Record<string, string>>;
}

/** Makes the disk of an appliance. */
export interface Provisioner {
  readonly id: string;
  /** One line for people. */
  readonly summary: string;
  readonly capabilities: ProvisionerCapabilities;
  readonly options: z.ZodType;
  probe(signal: AbortSignal): Promise<Probe>;
  /** Bytes of `workDir` that the job needs at most, for the preflight. */
  estimate(appliance: Appliance): Promise<number>;
  provision(job: ProvisionJob): Promise<ProvisionedDisk>;
  /**
   * Removes what a run that was killed left in its `workDir` and the user alone cannot, such as files of subordinate ids.
   * Asked for only when removing it in the usual way fails.
   */
  discard?(workDir: string, signal: AbortSignal): Promise<void>;
}
