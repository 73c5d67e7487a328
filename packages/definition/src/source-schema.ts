import { z } from 'zod';
import { duration, flag, looseText, textLike, wholeNumber } from './fields.js';

const path = () => z.string().min(1).max(1024);

/** One line that a shell, a kernel or a boot menu gets as it is. */
const line = (limit: number) =>
  z
    .string()
    .max(limit)
    .regex(/^[^\r\n]*$/, { error: 'must be one line' });

/** Where the guest finds a file: a relative path that leads nowhere else. */
const answerName = () =>
  textLike(
    /^(?!(?:.*\/)?\.{1,2}(?:\/|$))[A-Za-z0-9._+-]{1,100}(?:\/[A-Za-z0-9._+-]{1,100}){0,7}$/,
    'the name of a file for the guest, such as preseed.cfg or debian/preseed.cfg',
  );

/** Inside of a medium or of a directory. */
const innerPath = (example: string) =>
  textLike(/^(?!.*(?:^|\/)\.{1,2}(?:\/|$))(?!\/)[^\0\\]{1,512}$/, `a relative path without "..", such as ${example}`);

const packages = z.strictObject({
  distribution: textLike(/^[a-z][a-z0-9-]{0,31}$/, 'the name of a distribution, such as debian')
    .describe('Distribution that the packages come from.')
    .default('debian'),
  suite: looseText()
    .pipe(textLike(/^[a-z0-9][a-z0-9._-]{0,63}$/i, 'the name of a suite, such as bookworm'))
    .describe('Release to install, by its code name, such as bookworm.'),
  mirror: z
    .string()
    .max(2048)
    .describe('Address of the archive. Absent: what the apt of the building machine uses, or the variable "mirror".')
    .optional(),
  components: z
    .array(textLike(/^[a-z][a-z0-9-]{0,63}$/, 'the name of a component, such as main'))
    .min(1)
    .describe('Parts of the archive to use.')
    .default(['main']),
  keyring: path()
    .describe(
      'Keys that sign the archive: a file of the definition, or one of /usr/share/keyrings. Absent: the keys that the building machine trusts.',
    )
    .optional(),
});

const externalFile = {
  from: z
    .union([z.string().max(2048), z.array(z.string().max(2048)).max(16)])
    .describe(
      'Where it is: a path or an address (http, https, file), or a list that is tried in order. Empty text is left out.',
    ),
  checksum: z
    .string()
    .describe('"sha256:" or "sha512:" and hexadecimal digits. "none" checks nothing, and has to be spelled out.'),
};

const answerFile = z.union([
  path(),
  z.strictObject({
    file: path().describe('File of the definition, relative to its folder.'),
    template: flag().describe('Whether <%= name %> in it becomes the value of that name.').default(true),
  }),
]);

const answerFiles = () => z.record(answerName(), answerFile);

const answers = z
  .strictObject({
    http: answerFiles()
      .describe(
        'Files that only this guest can fetch, each as a path or {file: …, template: false}, by the names at <%= answers %>/….',
      )
      .default({}),
    seed: z
      .strictObject({
        label: textLike(/^[A-Za-z0-9_-]{1,16}$/, 'a label of at most 16 letters, digits, "_" and "-", such as cidata')
          .describe('Label by which the guest looks for it, such as cidata or OEMDRV.')
          .default('cidata'),
        filesystem: z.enum(['iso', 'fat']).describe('A CD, or a disk with FAT.').default('iso'),
        files: answerFiles().describe('The files on it, as in http.'),
      })
      .describe('A medium of their own.')
      .optional(),
  })
  .describe('How the questions of the installer, or of cloud-init, are answered.');

const ssh = (timeout: number) =>
  z
    .strictObject({
      user: textLike(/^[a-z_][a-z0-9_.-]{0,31}$/i, 'the name of a user')
        .describe('Who logs in.')
        .default('root'),
      password: looseText()
        .describe('Of that user; better from a secret variable. Absent or empty: only the key of the build is tried.')
        .optional(),
      port: wholeNumber(1, 65535).describe("Port of the guest's SSH server.").default(22),
      timeout: duration()
        .describe(
          'How long until SSH answers, on a machine with hardware acceleration; more is allowed where there is none.',
        )
        .default(timeout),
      become: z
        .enum(['none', 'sudo', 'su'])
        .describe('How that user becomes root. Default: none for root, sudo for others.')
        .optional(),
      shutdown: line(500)
        .min(1)
        .describe('Command, run as root, that switches the guest off. Absent: the power button.')
        .optional(),
    })
    .describe('How the finished system is reached.')
    .prefault({});

const iso = z.strictObject({
  ...externalFile,
  kernel: innerPath('install.amd/vmlinuz')
    .describe("The installer's kernel on the medium. Absent: it can be started only through its boot menu.")
    .optional(),
  initrd: innerPath('install.amd/initrd.gz').describe('The initial RAM disk of that kernel, on the medium.').optional(),
});

const netboot = z.strictObject({
  directory: path().describe(
    'Directory that a boot server would offer: of the definition, of a package below /usr/lib/debian-installer, or named by a variable.',
  ),
  kernel: innerPath('debian-installer/amd64/linux')
    .describe("The installer's kernel in it. Default: where Debian has it.")
    .optional(),
  initrd: innerPath('debian-installer/amd64/initrd.gz')
    .describe('The initial RAM disk of that kernel. Default: where Debian has it.')
    .optional(),
  'boot-files': z
    .strictObject({
      bios: innerPath('pxelinux.0').describe('What a BIOS loads.').optional(),
      uefi: innerPath('bootx64.efi').describe('What UEFI loads.').optional(),
    })
    .describe('What the firmware loads, for starts through the boot menu. Default: where Debian has them.')
    .optional(),
});

const installer = z.strictObject({
  medium: z
    .strictObject({
      iso: iso.describe('An ISO image.').optional(),
      netboot: netboot.describe('Files for starting over the network.').optional(),
    })
    .describe('What the installation is started from: an ISO image, or files for starting over the network.'),
  start: z
    .enum(['auto', 'direct', 'typed'])
    .describe(
      'direct: its kernel is started without a boot menu; typed: boot-command is typed; auto: direct where that is possible.',
    )
    .default('auto'),
  'kernel-arguments': z
    .array(line(2048).min(1))
    .max(100)
    .describe("Of the installer's kernel when it is started directly; may name values of the build, as <%= answers %>.")
    .default([]),
  'boot-command': z
    .array(line(4096))
    .max(200)
    .describe(
      'What is typed at the boot menu, in keystroke notation; may name values of the build. An empty list types nothing.',
    )
    .optional(),
  'boot-wait': duration().describe('From power-on to the first key.').default(10_000),
  keyboard: textLike(/^[a-z]{2,3}(?:-[a-z0-9]{1,16})?$/, 'the name of a keyboard layout, such as us or de')
    .describe('Keyboard layout of the guest while that is typed.')
    .default('us'),
  'key-interval': duration()
    .describe('Between two keys, such as 50ms. Default: what the hypervisor takes safely.')
    .optional(),
  answers: answers.prefault({}),
  ssh: ssh(600_000),
  limits: z
    .strictObject({
      fetch: duration()
        .describe(
          'From the start until the installer fetches its first answer, on a machine with hardware acceleration.',
        )
        .default(180_000),
      install: duration()
        .describe('From the start until the installation is over, on a machine with hardware acceleration.')
        .default(3_600_000),
    })
    .describe('How long the installation may take.')
    .prefault({}),
});

const disk = z.strictObject({
  image: z.strictObject(externalFile).describe('The disk. It is copied, never changed.'),
  format: textLike(/^[a-z][a-z0-9-]{0,63}$/, 'the name of a format: small letters, digits and hyphens')
    .describe('Id of its format. Absent: it is recognised.')
    .optional(),
  answers: answers.prefault({}),
  ssh: ssh(300_000),
});

/** One source: a mapping with one of the kinds. */
export const sourceSchema = z.strictObject({
  packages: packages.describe('Install from the packages of a Debian-family archive.').optional(),
  installer: installer.describe('Let an installer put the system on the disk of a machine.').optional(),
  disk: disk.describe('Start from a disk that exists already.').optional(),
});

export const SOURCE_KINDS = ['packages', 'installer', 'disk'] as const;

export type SourceEntry = z.output<typeof sourceSchema>;
export type PackagesEntry = z.output<typeof packages>;
export type InstallerEntry = z.output<typeof installer>;
export type DiskEntry = z.output<typeof disk>;
export type AnswersEntry = z.output<typeof answers>;
export type SshEntry = z.output<ReturnType<typeof ssh>>;

/** Texts that are kept as they are written; below an entry of `source`. */
export const SOURCE_TEXT_PATHS: readonly (readonly string[])[] = [
  ['packages', 'suite'],
  ['installer', 'ssh', 'password'],
  ['disk', 'ssh', 'password'],
];
