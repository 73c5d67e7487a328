import type { Architecture, Firmware } from '@polyvisor/core';
import type { Key } from './key.js';

/** A machine to make. Paths are absolute, sizes in bytes. */
export interface MachineSpec {
  /** Unique on this computer, of letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly firmware: Firmware;
  readonly cpus: number;
  readonly memory: number;
  /** Family of the guest's system, such as `debian`; empty when unknown. */
  readonly guest: string;
  /** Image that the machine reads and writes, in the hypervisor's `diskFormat`. Belongs to the caller. */
  readonly disk: string;
  /** Read-only, in the order of attaching. */
  readonly media: readonly Medium[];
  /** TCP ports of the guest to be reached from this computer; see `Machine.endpoint`. */
  readonly forwardedPorts: readonly number[];
  /** Gets every byte of the first serial port; appended to, made if missing. */
  readonly serialLog: string;
  /** Texts for the guest in the SMBIOS table of OEM strings (type 11); empty unless the hypervisor has `firmwareStrings`. */
  readonly firmwareStrings: readonly string[];
}

/** A medium with an image of its own: an ISO image in a CD drive, or a raw disk image of a file system. */
export interface Medium {
  readonly kind: 'cdrom' | 'disk';
  readonly path: string;
}

/** What a machine starts from. */
export type Start =
  /** The disk; while nothing on it can be started, the media in their order. Restarts of the guest do the same again. */
  | { readonly kind: 'disk' }
  /** A kernel, without boot loader. When the guest restarts, the machine stops (`restarted`) instead. */
  | {
      readonly kind: 'kernel';
      readonly kernel: string;
      readonly initrd: string;
      readonly arguments: readonly string[];
    }
  /** The network: `bootFile` below `directory`, offered to this guest alone. When the guest restarts, the machine stops instead. */
  | { readonly kind: 'network'; readonly directory: string; readonly bootFile: string };

/** Why a machine does not run any more. */
export interface StopReason {
  /**
   * `off`: the guest or its firmware switched it off; `restarted`: see `Start`; `ended`: `powerOff` or disposal did it;
   * `died`: the hypervisor failed or was killed; `halted`: it cannot go on with the guest, such as after a full disk.
   */
  readonly kind: 'off' | 'restarted' | 'ended' | 'died' | 'halted';
  /** What the hypervisor said last, for messages; may be empty. */
  readonly words: string;
}

/**
 * A machine on a hypervisor.  machine = { start, { press | endpoint | screenshot | stopped }, powerOff | stop of its own },
 * disk?, dispose.
 *
 * Disposing ends it if it runs and removes it with all it owns but the files that the spec names; it is idempotent.
 * Every method rejects with the signal's reason when it is cancelled, and leaves the machine as it is.
 */
export interface Machine extends AsyncDisposable {
  /** Only while stopped. Resolves when the hypervisor runs the guest. Rejects with `EnvironmentError` when it cannot. */
  start(start: Start, signal: AbortSignal): Promise<void>;
  /** Resolves when all keys have been taken, in order, at a pace that the guest can follow. `interval`: see `Typing`. */
  press(keys: readonly Key[], signal: AbortSignal, interval?: number): Promise<void>;
  /** Where a port of `forwardedPorts` is reached on this computer. Fixed while the machine runs. */
  endpoint(guestPort: number): Promise<{ readonly host: string; readonly port: number }>;
  /** Settles within a second after the machine stopped, for whatever reason; at once while it is stopped. */
  stopped(signal: AbortSignal): Promise<StopReason>;
  /** `button` presses the power button and returns; `hard` cuts the power and returns when the machine has stopped. */
  powerOff(mode: 'button' | 'hard', signal: AbortSignal): Promise<void>;
  /** The screen as PNG; rejects when there is none to see. */
  screenshot(signal: AbortSignal): Promise<Uint8Array>;
}

/** What a hypervisor's machines can do, as plain data. */
export interface HypervisorCapabilities {
  readonly starts: readonly Start['kind'][];
  /** Id of the format of its disks: `raw`, `vdi`, … */
  readonly diskFormat: string;
  /** Address under which the guest reaches servers that listen on this computer's 127.0.0.1. */
  readonly hostAddress: string;
  /** Whether guests see `MachineSpec.firmwareStrings`. */
  readonly firmwareStrings: boolean;
}

/** What runs the guest's code. */
export interface Acceleration {
  /** For people, such as `kvm` or `tcg (kvm: why not)`. */
  readonly description: string;
  /** By how much time limits are to be multiplied; 1 with hardware acceleration. */
  readonly slowdown: number;
}

/** Makes machines: what an adapter of a hypervisor provides, and all that it provides. */
export interface Hypervisor {
  /** Found by trying; asked once a run. */
  acceleration(signal: AbortSignal): Promise<Acceleration>;
  /** Makes a machine without starting it. Its own files go to `workDir`, an empty directory that outlives the machine. */
  create(spec: MachineSpec, workDir: string, signal: AbortSignal): Promise<Machine>;
}
