/**
 * An appliance, resolved: what `packages/definition` makes of a definition file and what provisioners work from.
 * Plain data; variables are substituted, paths are absolute, sizes are bytes and durations milliseconds.
 */

import type { Source } from './source.js';

export type Architecture = 'x86_64' | 'arm64';
export type Firmware = 'bios' | 'uefi';

/** What an exporter may put into a descriptor (OVF) about the machine that the disk is for. */
export interface ApplianceFacts {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly architecture: Architecture;
  /** What the disk boots under. */
  readonly firmware: readonly Firmware[];
  readonly cpus: number;
  /** In bytes. */
  readonly memory: number;
  /** Family of the guest's system, such as `debian`; `linux` or `other` where nothing better is known. */
  readonly guest: string;
  /** Release of the guest's system, such as `12`; empty when unknown. */
  readonly guestVersion: string;
}

export interface Appliance extends ApplianceFacts {
  readonly hostname: string;
  readonly disk: DiskLayout;
  /** What to start from. */
  readonly source: Source;
  readonly packages: readonly string[];
  /** Added to the kernel's command line, after the consoles of every target. */
  readonly kernelArguments: readonly string[];
  readonly locale: string;
  readonly timezone: string;
  readonly files: readonly FileToCopy[];
  readonly scripts: readonly Script[];
  readonly users: readonly User[];
  /** Values that must appear in no log, message or manifest. */
  readonly secrets: readonly string[];
}

export interface DiskLayout {
  /** In bytes, a multiple of 1 MiB. */
  readonly size: number;
  /** In the order on disk, without those that the boot loader needs; the provisioner adds these. One is mounted on `/`. */
  readonly partitions: readonly Partition[];
}

export interface Partition {
  /** Label of the file system, at most 16 bytes. */
  readonly label: string;
  readonly filesystem: 'ext4' | 'swap';
  /** Absolute path in the guest; absent for swap. */
  readonly mount?: string;
  /** In bytes; absent for the one partition that takes the rest. */
  readonly size?: number;
}

export interface FileToCopy {
  /** Absolute path on this machine, of a file or a directory. */
  readonly from: string;
  /** Absolute path in the guest. */
  readonly to: string;
  /** Permission bits for files; absent: as on this machine. */
  readonly mode?: number;
  /** `user:group` by name in the guest. */
  readonly owner: string;
}

export interface Script {
  /** For messages: the path as the definition has it. */
  readonly name: string;
  /** Absolute path on this machine. */
  readonly path: string;
  readonly environment: Readonly<Record<string, string>>;
  /** In milliseconds; the script and all it started are killed after that. */
  readonly timeout: number;
  /** The guest restarts after it; the next step waits until it is back. Only where a guest runs that can restart. */
  readonly reboot?: boolean;
}

export interface User {
  readonly name: string;
  /** Plain text or a crypt(5) hash; absent: no password login. Counted among the appliance's secrets. */
  readonly password?: string;
  readonly groups: readonly string[];
  /** Public keys, one line each. */
  readonly sshKeys: readonly string[];
  /** May become root without a password. */
  readonly sudo: boolean;
  readonly shell: string;
}
