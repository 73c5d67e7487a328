import { z } from 'zod';
import type { DocumentPath } from './document.js';
import { SOURCE_TEXT_PATHS, sourceSchema } from './source-schema.js';
import { VARIABLE_NAME } from './substitute.js';
import { duration, flag, looseText, mebibytes, permissionBits, textLike, wholeNumber } from './fields.js';

const MEBIBYTE = 2 ** 20;
const GIBIBYTE = 2 ** 30;

/** Ids of formats and provisioners, as `PluginContext` has them. Which exist is known to the host alone. */
const id = (what: string) =>
  textLike(/^[a-z][a-z0-9-]{0,63}$/, `the name of a ${what}: small letters, digits and hyphens`);

/** Absolute, in its shortest spelling, and free of characters that `/etc/fstab` and shells treat in their own way. */
const guestPath = () =>
  textLike(
    /^\/(?:(?!\.{1,2}(?:\/|$))[A-Za-z0-9._+@:,=~-]+(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._+@:,=~-]+)*)?$/,
    'an absolute path in the guest, such as /etc/motd, without "..", "//", spaces or quotes',
  );

const path = () => z.string().min(1).max(1024);

const partition = z.strictObject({
  label: textLike(/^[A-Za-z0-9_-]{1,16}$/, 'a label of at most 16 letters, digits, "_" and "-"').describe(
    'Label of the file system; the guest mounts by it.',
  ),
  mount: guestPath().describe('Where the guest mounts it. Absent for swap.').optional(),
  size: mebibytes(MEBIBYTE, 2 ** 46)
    .describe('Such as 512M. One partition may go without and takes the rest of the disk.')
    .optional(),
  filesystem: z.enum(['ext4', 'swap']).describe('What it is formatted as.').default('ext4'),
});

const file = z.strictObject({
  from: path().describe("File or directory to copy, relative to the definition's folder."),
  to: guestPath().describe('Path that it gets in the guest.'),
  mode: permissionBits().describe('Permission bits in octal, such as 0644. Absent: as the file has them.').optional(),
  owner: textLike(/^[a-z_][a-z0-9_-]{0,31}(?::[a-z_][a-z0-9_-]{0,31})?$/, 'an owner as user or user:group')
    .describe('Owner in the guest as user:group; the group of the same name when only a user is given.')
    .default('root:root'),
});

const script = z.strictObject({
  path: path().describe(
    "Script to run in the guest as root, relative to the definition's folder. Its first line names its interpreter.",
  ),
  environment: z
    .record(textLike(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'the name of an environment variable'), looseText())
    .describe("Environment variables of this script, besides the definition's variables.")
    .default({}),
  timeout: duration()
    .describe('How long it may run, such as 90s or 10m; then it and all it started are killed.')
    .default(600_000),
});

const user = z.strictObject({
  name: textLike(/^[a-z_][a-z0-9_-]{0,31}$/, 'the name of a user: small letters, digits, "_" and "-"').describe(
    'Login name; root is allowed.',
  ),
  password: looseText()
    .describe(
      'Password, or its hash as crypt(5) has it; better from a secret variable. Absent or empty: no login by password.',
    )
    .optional(),
  'ssh-keys': z
    .array(
      z.union([
        z.string(),
        z.strictObject({
          file: path().describe("File with public keys, one a line, relative to the definition's folder."),
        }),
      ]),
    )
    .describe(
      'Public keys that may log in, each as text or as {file: …}. Empty text is left out, so that a variable may hold one.',
    )
    .default([]),
  groups: z
    .array(textLike(/^[a-z_][a-z0-9_-]{0,31}$/, 'the name of a group'))
    .describe('Groups to be in besides the own one; they must exist once the packages are installed.')
    .default([]),
  sudo: flag().describe('May become root without a password.').default(false),
  shell: guestPath().describe('Login shell.').default('/bin/bash'),
});

const target = z.looseObject({
  format: id('format').describe('Id of a format; `polyvisor plugins` lists them. The other keys are its options.'),
});

const provisioner = z.looseObject({
  id: id('provisioner').describe(
    'Id of a provisioner; `polyvisor plugins` lists them. The other keys are its options.',
  ),
});

const bootCheck = z.strictObject({
  expect: z
    .string()
    .min(1)
    .max(200)
    .describe('Text (not a pattern) that the serial console must show for the boot to count.')
    .default('login:'),
  timeout: duration()
    .describe(
      'How long the boot may take on a machine with hardware acceleration; more is allowed where there is none.',
    )
    .default(180_000),
});

const variable = z.strictObject({
  description: z.string().describe('What it is for.').optional(),
  default: looseText()
    .describe('Value when none is given. Taken as it is: no variables are replaced in it.')
    .optional(),
  required: flag().describe('A value must be given even where only the scripts use it.').default(false),
  secret: flag().describe('Hidden in every log, message and manifest.').default(false),
});

/** The whole document. Keys are in kebab-case; every one is described, so that editors can help. */
export const definitionDocument = z.strictObject({
  name: textLike(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/, 'a name: small letters, digits, "-" and ".", such as debian-12')
    .pipe(z.string().max(63))
    .describe('Name of the appliance; its files are named after it.'),
  version: looseText()
    .pipe(
      textLike(
        /^[A-Za-z0-9][A-Za-z0-9.+~_-]{0,63}$/,
        'a version: letters, digits and "." "+" "~" "_" "-", such as 1.0.0',
      ),
    )
    .describe('Version of the appliance, part of the names of its files.'),
  description: z.string().max(4096).describe('What the appliance is, for people.').default(''),
  architecture: z.enum(['x86_64', 'arm64']).describe('Processor that it runs on.').default('x86_64'),
  disk: z
    .strictObject({
      size: mebibytes(64 * MEBIBYTE, 2 ** 46)
        .describe('Size of the disk, such as 4G; units are binary.')
        .default(4 * GIBIBYTE),
      partitions: z
        .array(partition)
        .min(1)
        .max(32)
        .describe(
          'In the order on disk, one of them mounted on "/". What the boot loader needs is added. Default: one that takes all.',
        )
        .optional(),
    })
    .describe('The disk and what it is divided into.')
    .prefault({}),
  firmware: z
    .union([z.enum(['bios', 'uefi']), z.array(z.enum(['bios', 'uefi'])).min(1)])
    .describe('What the disk boots under: bios, uefi or both. Default: both (arm64: uefi).')
    .optional(),
  source: z
    .union([sourceSchema, z.array(sourceSchema).min(1).max(16)])
    .describe(
      'What the system is made from: exactly one of the kinds, or a list of such mappings, of which each provisioner takes the first it can serve.',
    ),
  guest: z
    .strictObject({
      system: textLike(/^[a-z][a-z0-9-]{0,31}$/, 'the name of a system, such as debian')
        .describe('Family of the system, such as debian or ubuntu; linux or other where nothing better is known.')
        .optional(),
      version: looseText().pipe(z.string().max(32)).describe('Its release, such as 12.').optional(),
    })
    .describe(
      'What the system is, for descriptors of virtual machines. Default: what a source of packages says, else linux.',
    )
    .prefault({}),
  packages: z
    .array(
      textLike(
        /^[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+~:-]+|\/[a-z0-9-]+)?$/,
        'the name of a package, such as openssh-server',
      ),
    )
    .max(5000)
    .describe('Packages to install besides those that every appliance needs.')
    .default([]),
  'kernel-arguments': z
    .array(textLike(/^[A-Za-z0-9._,:;=+@%/~^-]{1,256}$/, 'one argument without spaces, quotes or shell characters'))
    .max(100)
    .describe('Added to the command line of the kernel.')
    .default([]),
  hostname: textLike(
    /^(?=.{1,63}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/,
    'a host name: at most 63 letters, digits and hyphens',
  )
    .describe('Host name until the first boot sets another. Default: the name.')
    .optional(),
  locale: textLike(
    /^[A-Za-z]{1,8}(?:_[A-Z]{2})?(?:\.[A-Za-z0-9-]{1,16})?(?:@[a-z]{1,16})?$/,
    'a locale, such as C.UTF-8 or de_DE.UTF-8',
  )
    .describe('Language and character set of the system.')
    .default('C.UTF-8'),
  timezone: textLike(/^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/, 'a time zone, such as UTC or Europe/Paris')
    .describe('Time zone of the system, as the tz database names it.')
    .default('UTC'),
  cpus: wholeNumber(1, 512).describe('Processors that the exported machine gets.').default(2),
  memory: mebibytes(64 * MEBIBYTE, 2 ** 44)
    .describe('Memory that the exported machine gets, such as 2G.')
    .default(GIBIBYTE),
  files: z
    .array(file)
    .max(10_000)
    .describe('Files to copy into the guest, in this order, before the scripts run.')
    .default([]),
  scripts: z
    .array(z.union([path(), script]))
    .max(1000)
    .describe(
      'Scripts to run in the guest, in this order; each a path, or a mapping with its environment and time limit.',
    )
    .default([]),
  users: z.array(user).max(1000).describe('Users to make, or to change where they exist.').default([]),
  seal: z
    .strictObject({
      keep: z
        .array(id('sealing step'))
        .describe(
          'Sealing steps to leave out. Default: none, all that would make two copies of the appliance alike is reset.',
        )
        .default([]),
    })
    .describe('What is reset before the disk is exported.')
    .prefault({}),
  targets: z
    .array(z.union([id('format'), target]))
    .max(100)
    .describe('Formats to export, each an id, or a mapping with its options. Default: what the command chooses.')
    .default([]),
  provisioner: z
    .union([id('provisioner'), provisioner])
    .describe('What makes the disk: an id, or a mapping with its options. Default: what the command chooses.')
    .optional(),
  'boot-check': z
    .union([z.boolean(), bootCheck])
    .describe('How the finished images are tried out; false: not at all.')
    .default(true),
  variables: z
    .record(
      textLike(VARIABLE_NAME, 'the name of a variable: letters, digits, "_" and "-"'),
      z.union([z.null(), variable]),
    )
    .describe(
      'Variables that text of this file uses as ${name}, and that every script has in its environment, hyphens as "_".',
    )
    .default({}),
});

export const partitionSchema = partition;
export const fileSchema = file;
export const scriptSchema = z.union([path(), script]);
export const userSchema = user;
export const targetSchema = z.union([id('format'), target]);
export const variableSchema = z.union([z.null(), variable]);

/** Identifies the shape of the document; a version is added only when an old definition would no longer be understood. */
export const SCHEMA_ID = 'urn:polyvisor:definition:1';

/** JSON Schema of a definition, for editors. */
export function definitionSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(definitionDocument, { io: 'input' }) as Record<string, unknown>;
  const { $schema, ...rest } = schema;
  return { $schema, $id: SCHEMA_ID, title: 'polyvisor appliance definition', ...rest };
}

const TEXT_PATHS: readonly (readonly (string | undefined)[])[] = [
  ['version'],
  ['guest', 'version'],
  ...SOURCE_TEXT_PATHS.flatMap((path) => [
    ['source', ...path],
    ['source', undefined, ...path],
  ]),
  ['files', undefined, 'mode'],
  ['scripts', undefined, 'environment', undefined],
  ['users', undefined, 'password'],
  ['variables', undefined, 'default'],
];

/** Where a number is kept as it is written: `version: 1.10` is not 1.1, and `mode: 0644` is not six hundred and forty-four. */
export function isTextPath(path: DocumentPath): boolean {
  return TEXT_PATHS.some(
    (pattern) =>
      pattern.length === path.length && pattern.every((part, index) => part === undefined || part === path[index]),
  );
}
