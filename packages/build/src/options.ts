import type { Artifact, BootReport, Booter, DiskConverter, Emit, Firmware, Images, Provisioner } from '@polyvisor/core';
import type { Definition } from '@polyvisor/definition';
import type { Observe } from './build-log.js';

/** One format to export. */
export interface BuildTarget {
  readonly converter: DiskConverter;
  /** As the user gave them; checked against the converter's schema before anything runs. */
  readonly options: unknown;
}

/**
 * Which artefacts are booted. `auto`: one of every kind that the booter's own drivers tell apart, over all firmware that the
 * appliance is for; left out, with a warning, where this machine cannot. `all`: every one of them under every firmware,
 * and it is an error where this machine cannot. `none`: nothing is booted.
 */
export type BootCheckMode = 'auto' | 'all' | 'none';

export interface BootSettings {
  /** Default: `auto`, or `none` where the definition turns the check off. */
  readonly mode?: BootCheckMode | undefined;
  /** Default: the definition's text. */
  readonly expect?: RegExp | undefined;
  /** In milliseconds, with hardware acceleration. Default: the definition's. */
  readonly timeout?: number | undefined;
}

/** What happens to the temporary files of a build that fails. A cancelled build always cleans up. */
export type OnError = 'cleanup' | 'keep' | 'ask';

export interface BuildOptions {
  readonly definition: Definition;
  readonly provisioner: Provisioner;
  /** As the user gave them. */
  readonly provisionerOptions: unknown;
  /** At least one. */
  readonly targets: readonly BuildTarget[];
  readonly booter?: Booter | undefined;
  readonly boot?: BootSettings | undefined;
  /** The directory that the build makes. Absent before, complete afterwards, never in between. */
  readonly outputDir: string;
  /** Kept between runs; made when missing. */
  readonly cacheDir: string;
  /** Where the build makes its temporary directory; made when missing. */
  readonly workRoot: string;
  /** Replace an output directory that an earlier build made. */
  readonly force: boolean;
  /** Use only what the cache has. */
  readonly offline: boolean;
  /** Every format of the loaded plugins, for provisioners that start from an image. */
  readonly images: Images;
  /** Read every artefact back and compare it with the disk. */
  readonly verify: boolean;
  /** `SOURCE_DATE_EPOCH`, in seconds: makes the build reproducible. */
  readonly epoch?: number | undefined;
  /** Names and versions of the programs that take part, for the manifest: polyvisor, its plugins. */
  readonly versions: Readonly<Record<string, string>>;
  readonly onError: OnError;
  /** Required for `ask`. `places` are the directories that would be kept. */
  readonly ask?: ((error: unknown, places: readonly string[]) => Promise<'cleanup' | 'keep'>) | undefined;
  readonly emit: Emit;
  /**
   * Lets the build's log hear what others say during the run, foremost the log lines of plugins, which do not come through the
   * build's own `emit`. What `emit` gets must come to the listeners as well.
   */
  readonly observe?: Observe | undefined;
  readonly signal: AbortSignal;
}

/** A boot that succeeded. */
export interface BootResult extends BootReport {
  /** Name of the artefact. */
  readonly file: string;
  readonly format: string;
  readonly firmware: Firmware;
}

export interface BuildResult {
  /** The output directory. */
  readonly directory: string;
  /** With their final paths, in the order of the targets. */
  readonly artifacts: readonly Artifact[];
  readonly boots: readonly BootResult[];
  /** Why nothing was booted, where the check was wanted. */
  readonly bootSkipped: string | undefined;
}
