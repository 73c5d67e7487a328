import type { Architecture, Firmware } from './appliance.js';
import type { BlockNode } from './converter.js';
import type { Emit } from './events.js';
import type { Probe } from './provisioner.js';

export interface BooterCapabilities {
  readonly architectures: readonly Architecture[];
  readonly firmware: readonly Firmware[];
  /** Kinds of disk controller the image can be attached to, the default first. */
  readonly buses: readonly string[];
}

export interface BootJob {
  /** For messages. */
  readonly path: string;
  /** The image, opened read-only; what the guest writes goes to a temporary overlay. */
  readonly node: BlockNode;
  readonly architecture: Architecture;
  readonly firmware: Firmware;
  readonly bus?: string;
  readonly cpus: number;
  /** In bytes. */
  readonly memory: number;
  /** What the serial console must show for the boot to count. */
  readonly expect: RegExp;
  /** In milliseconds, for a machine with hardware acceleration; scaled up where there is none. */
  readonly timeout: number;
  /** Everything temporary goes here; exists, removed by the caller. */
  readonly workDir: string;
  /** Where the console log goes, and the screenshot (`.png` beside it) when the boot fails. */
  readonly consoleLog: string;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

export interface BootReport {
  /** From power-on to the expected text, in milliseconds. */
  readonly duration: number;
  /** The line that matched. */
  readonly matched: string;
  /** What ran the guest's code, and why nothing faster did: `tcg (kvm: …)`. */
  readonly acceleration: string;
}

/** Starts a finished image and watches it boot. A boot that fails is a `GuestError` that names the log and the screenshot. */
export interface Booter {
  readonly id: string;
  /** One line for people. */
  readonly summary: string;
  readonly capabilities: BooterCapabilities;
  probe(signal: AbortSignal): Promise<Probe>;
  boot(job: BootJob): Promise<BootReport>;
}
