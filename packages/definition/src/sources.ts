import type { GuestAccess, InstallerMedium, InstallerSource, PackageSource, Source } from '@polyvisor/core';
import { checkCommand, readAnswers } from './answers.js';
import { credentialsIn } from './credentials.js';
import type { DocumentPath } from './document.js';
import { externalFile } from './external-file.js';
import { netbootMedium } from './netboot.js';
import { SHORTEST_SECRET } from './redact.js';
import { checkMirror } from './rules.js';
import type { SourceContext } from './source-context.js';
import {
  type DiskEntry,
  type InstallerEntry,
  type PackagesEntry,
  SOURCE_KINDS,
  type SourceEntry,
  type SshEntry,
} from './source-schema.js';
import { MIRROR_VARIABLE } from './variables.js';

/** Keyrings are public and only ever checked against, so those of the machine may be named. */
const KEYRING_FOLDERS = ['/usr/share/keyrings', '/etc/apt/keyrings', '/etc/apt/trusted.gpg.d'];

/** A source of the document, and where it stands. */
export interface ReadSource {
  readonly source: Source;
  /** Of the mapping below the name of its kind. */
  readonly path: DocumentPath;
}

/** Which kinds an entry has, as it was written: a kind with a mistake in it counts. */
export function kindsOf(raw: Readonly<Record<string, unknown>>): readonly (typeof SOURCE_KINDS)[number][] {
  return SOURCE_KINDS.filter((kind) => Object.hasOwn(raw, kind));
}

/** One entry of `source`. Undefined when it cannot be used, which has been reported then. */
export async function readSource(
  entry: SourceEntry,
  path: DocumentPath,
  context: SourceContext,
): Promise<ReadSource | undefined> {
  const { packages, installer, disk } = entry;
  const [kind, source] =
    packages !== undefined
      ? (['packages', await packageSource(packages, [...path, 'packages'], context)] as const)
      : installer !== undefined
        ? (['installer', await installerSource(installer, [...path, 'installer'], context)] as const)
        : (['disk', disk === undefined ? undefined : await diskSource(disk, [...path, 'disk'], context)] as const);
  return source === undefined ? undefined : { source, path: [...path, kind] };
}

async function packageSource(
  entry: PackagesEntry,
  path: DocumentPath,
  context: SourceContext,
): Promise<PackageSource | undefined> {
  const given = context.variables.get(MIRROR_VARIABLE);
  // Who builds knows best which mirror is near; the definition's is for those who do not say.
  const mirror = given?.given === true ? given.value : entry.mirror === undefined ? given?.value : entry.mirror;
  if (mirror !== undefined && mirror !== '') {
    for (const credential of credentialsIn(mirror)) context.hide(credential);
    checkMirror(mirror, [...path, 'mirror'], context.report);
  }
  const keyring =
    entry.keyring === undefined ? undefined : await context.file(entry.keyring, [...path, 'keyring'], KEYRING_FOLDERS);
  return {
    kind: 'packages',
    distribution: entry.distribution,
    suite: entry.suite,
    components: entry.components,
    ...(mirror === undefined || mirror === '' ? {} : { mirror: mirror.replace(/\/+$/, '') }),
    ...(keyring === undefined ? {} : { keyring }),
  };
}

async function installerSource(
  entry: InstallerEntry,
  path: DocumentPath,
  context: SourceContext,
): Promise<InstallerSource | undefined> {
  const medium = await installerMedium(entry.medium, [...path, 'medium'], context);
  const answers = await readAnswers(entry.answers, [...path, 'answers'], context);
  const command = entry['boot-command'];
  const served = answers.http.length > 0;
  checkCommand(command ?? [], [...path, 'boot-command'], context, served);
  checkCommand(entry['kernel-arguments'], [...path, 'kernel-arguments'], context, served);
  const access = guestAccess(entry.ssh, [...path, 'ssh'], context);
  if (medium === undefined) return undefined;
  // One of them alone has been reported.
  const canBeDirect =
    medium.kind === 'netboot' || entry.medium.iso?.kernel !== undefined || entry.medium.iso?.initrd !== undefined;
  if (entry.start === 'direct' && !canBeDirect)
    context.report([...path, 'start'], 'a direct start needs the "kernel" and the "initrd" of the medium');
  if (command === undefined && (entry.start === 'typed' || (entry.start === 'auto' && !canBeDirect)))
    context.report(
      path,
      entry.start === 'typed' ? 'a typed start needs a "boot-command"' : 'there is no way to start it',
      'write boot-command, an empty list where the medium starts by itself, or "kernel" and "initrd" of the medium',
    );
  return {
    kind: 'installer',
    medium,
    start: entry.start,
    kernelArguments: entry['kernel-arguments'],
    typing: {
      wait: entry['boot-wait'],
      command: command ?? [],
      layout: entry.keyboard,
      ...(entry['key-interval'] === undefined ? {} : { interval: entry['key-interval'] }),
    },
    answers,
    access,
    limits: entry.limits,
  };
}

async function installerMedium(
  { iso, netboot }: InstallerEntry['medium'],
  path: DocumentPath,
  context: SourceContext,
): Promise<InstallerMedium | undefined> {
  if ((iso === undefined) === (netboot === undefined)) {
    context.report(path, 'name one medium: either "iso" or "netboot"', 'two media make two sources of a list');
    return undefined;
  }
  if (netboot !== undefined) return netbootMedium(netboot, [...path, 'netboot'], context);
  if (iso === undefined) return undefined;
  const { kernel, initrd } = iso;
  if ((kernel === undefined) !== (initrd === undefined))
    context.report(
      [...path, 'iso'],
      `"${kernel === undefined ? 'kernel' : 'initrd'}" is missing; a direct start needs both`,
    );
  const image = await externalFile(iso, [...path, 'iso'], context);
  return image === undefined
    ? undefined
    : { kind: 'iso', image, ...(kernel === undefined || initrd === undefined ? {} : { kernel, initrd }) };
}

async function diskSource(entry: DiskEntry, path: DocumentPath, context: SourceContext): Promise<Source | undefined> {
  const image = await externalFile(entry.image, [...path, 'image'], context);
  const answers = await readAnswers(entry.answers, [...path, 'answers'], context);
  const access = guestAccess(entry.ssh, [...path, 'ssh'], context);
  if (image === undefined) return undefined;
  return { kind: 'disk', image, answers, access, ...(entry.format === undefined ? {} : { format: entry.format }) };
}

function guestAccess(entry: SshEntry, path: DocumentPath, context: SourceContext): GuestAccess {
  const password = entry.password === '' ? undefined : entry.password;
  if (password !== undefined && (/[\r\n]/.test(password) || password.length < SHORTEST_SECRET))
    context.report([...path, 'password'], `a password must be one line of at least ${SHORTEST_SECRET} characters`);
  const become = entry.become ?? (entry.user === 'root' ? 'none' : 'sudo');
  if (become === 'none' && entry.user !== 'root')
    context.report([...path, 'become'], `the user "${entry.user}" is not root; write become: sudo or su`);
  return {
    user: entry.user,
    port: entry.port,
    timeout: entry.timeout,
    become,
    ...(password === undefined ? {} : { password }),
    ...(entry.shutdown === undefined ? {} : { shutdown: entry.shutdown }),
  };
}
