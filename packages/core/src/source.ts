import type { Firmware } from './appliance.js';

/** What the disk of an appliance is made from. A definition may name several; a provisioner takes the first it can serve. */
export type Source = PackageSource | InstallerSource | DiskSourceImage;

/** Where a system made of packages comes from. */
export interface PackageSource {
  readonly kind: 'packages';
  readonly distribution: string;
  readonly suite: string;
  /** Base address of the archive; absent: what this machine's own apt uses. */
  readonly mirror?: string;
  readonly components: readonly string[];
  /** Keyring file that signs the archive; absent: the machine's own trusted keys. */
  readonly keyring?: string;
}

/** A system that its own installer puts on the empty disk of a machine. */
export interface InstallerSource {
  readonly kind: 'installer';
  readonly medium: InstallerMedium;
  /** `direct`: its kernel is started without a boot menu; `typed`: `bootCommand` is typed; `auto`: direct where that is possible. */
  readonly start: 'auto' | 'direct' | 'typed';
  /** Of the installer's kernel when it is started directly; may name build values, see `AnswerFile`. */
  readonly kernelArguments: readonly string[];
  readonly typing: Typing;
  readonly answers: Answers;
  readonly access: GuestAccess;
  readonly limits: InstallLimits;
}

/** A disk that exists already. It is copied, never changed; it may be grown. */
export interface DiskSourceImage {
  readonly kind: 'disk';
  readonly image: ExternalFile;
  /** Id of its format; absent: it is recognised. */
  readonly format?: string;
  readonly answers: Answers;
  readonly access: GuestAccess;
}

/** A file that is not part of the definition. Nothing reads it before its checksum was found right. */
export interface ExternalFile {
  /** Tried in this order: absolute paths of this machine, and `http:`, `https:` or `file:` addresses. */
  readonly locations: readonly string[];
  /** `sha256:` or `sha512:` and hexadecimal digits; `none` where somebody chose to check nothing. */
  readonly checksum: string;
}

/** What an installation is started from. */
export type InstallerMedium =
  | {
      readonly kind: 'iso';
      readonly image: ExternalFile;
      /** Paths on the medium; absent: it can only be started through its boot menu. */
      readonly kernel?: string;
      readonly initrd?: string;
    }
  /** Files for starting over the network, laid out as Debian's packages `debian-installer-*-netboot-*` do. */
  | {
      readonly kind: 'netboot';
      /** Absolute path of the directory that a boot server would offer. */
      readonly directory: string;
      /** Relative to `directory`, as the next ones. */
      readonly kernel: string;
      readonly initrd: string;
      /** What the firmware loads, for starts through the boot menu. */
      readonly bootFiles: Readonly<Partial<Record<Firmware, string>>>;
    };

/** What is typed at a boot menu. */
export interface Typing {
  /** From power-on to the first key, in milliseconds. */
  readonly wait: number;
  /** In keystroke notation; may name build values, see `AnswerFile`. */
  readonly command: readonly string[];
  /** Keyboard layout of the guest at that time, such as `us` or `de`. */
  readonly layout: string;
  /** Between two keys, in milliseconds; absent: what the hypervisor takes safely. */
  readonly interval?: number;
}

/** How the questions of an installer, or of cloud-init, are answered. */
export interface Answers {
  /** Offered over HTTP to the guest alone, below a path that cannot be guessed. */
  readonly http: readonly AnswerFile[];
  /** On a medium of their own. */
  readonly seed?: {
    /** Label of its file system: `cidata`, `OEMDRV`, … */
    readonly label: string;
    readonly filesystem: 'iso' | 'fat';
    readonly files: readonly AnswerFile[];
  };
}

/**
 * A file for the guest. In a template `<%= name %>` becomes the value of one of `variables` or of a build value, which are
 * known only while the machine runs: `answers` (base address of the answer server), `answers-host`, `answers-port`, `ssh-key`
 * (public key of this build), `ssh-user`, `name`, `hostname`, `version`.
 */
export interface AnswerFile {
  /** Relative path under which the guest finds it. */
  readonly name: string;
  /** Absolute path on this machine. */
  readonly from: string;
  readonly template: boolean;
  readonly variables: Readonly<Record<string, string>>;
}

/** How the finished system is reached. */
export interface GuestAccess {
  readonly user: string;
  /** Absent: only the key of this build. Counted among the appliance's secrets. */
  readonly password?: string;
  /** TCP port of the guest's SSH server. */
  readonly port: number;
  /** How long until SSH answers, in milliseconds, on a machine with hardware acceleration. */
  readonly timeout: number;
  /** How commands become root; `none`: the user is root. `sudo` uses the password where there is one. */
  readonly become: 'none' | 'sudo' | 'su';
  /** Command that switches the guest off; absent: the button. */
  readonly shutdown?: string;
}

/** In milliseconds, on a machine with hardware acceleration. */
export interface InstallLimits {
  /** From the start until the installer fetched its first answer; not used when nothing is served. */
  readonly fetch: number;
  /** From the start until the installation is over. */
  readonly install: number;
}
