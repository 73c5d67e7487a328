import { errorKind, type PluginContext, type PolyvisorError, type Probe } from '@polyvisor/core';
import { type Isolation, unshareArguments } from './sandbox.js';

/** Programs that a build runs, and the Debian packages that bring them. */
const TOOLS: Readonly<Record<string, readonly string[]>> = {
  mmdebstrap: ['mmdebstrap'],
  apt: ['apt-get', 'apt-config'],
  dpkg: ['dpkg-deb'],
  'util-linux': ['unshare', 'nsenter', 'setpriv', 'flock', 'mountpoint'],
  mount: ['mount', 'umount'],
  hostname: ['hostname'],
  findutils: ['find'],
  diffutils: ['cmp'],
  e2fsprogs: ['mke2fs', 'debugfs', 'e2fsck'],
  dosfstools: ['mkfs.fat'],
  mtools: ['mmd', 'mcopy'],
  attr: ['getfattr'],
  tar: ['tar'],
  zstd: ['zstd'],
};

/** Programs for the system's administrator are not on every user's PATH. */
const WITH_SBIN = 'PATH=$PATH:/usr/sbin:/sbin';

/** In milliseconds. */
const PROBE_TIMEOUT = 10_000;

/** Finds out what this machine has, without side effects. */
export async function probeTools(context: PluginContext, signal: AbortSignal): Promise<Probe> {
  const missing = await missingTools(context, signal);
  if (missing.length > 0) {
    const packages = Object.keys(TOOLS).filter((name) => TOOLS[name]?.some((tool) => missing.includes(tool)));
    return {
      usable: false,
      reason: `missing on this machine: ${missing.join(', ')}`,
      hint: `install ${packages.length > 1 ? 'them' : 'it'}: apt-get install ${packages.join(' ')}`,
      debianPackages: packages,
    };
  }
  const found = await findIsolation(context, signal);
  if (!('isolation' in found)) return { usable: false, ...found };
  const { stdout } = await context.run('mmdebstrap', ['--version'], { signal, timeout: PROBE_TIMEOUT });
  return {
    usable: true,
    version: stdout.trim(),
    notes: [
      found.isolation === 'root' ? 'builds as root, in namespaces' : 'builds as an ordinary user, in a user namespace',
    ],
  };
}

async function missingTools(context: PluginContext, signal: AbortSignal): Promise<string[]> {
  const all = Object.values(TOOLS).flat();
  try {
    const { stdout } = await context.run(
      'sh',
      ['-c', `${WITH_SBIN}; for tool; do command -v "$tool" >/dev/null || echo "$tool"; done`, 'sh', ...all],
      { signal, timeout: PROBE_TIMEOUT },
    );
    return stdout.split('\n').filter((line) => line !== '');
  } catch (error) {
    if ((error as PolyvisorError).code === 'command-missing') return ['sh', ...all];
    throw error;
  }
}

export type FoundIsolation =
  | { readonly isolation: Isolation }
  | { readonly reason: string; readonly hint: string; readonly debianPackages?: readonly string[] };

/** Tries what a sandbox does, as root and else as an ordinary user: what is written in settings need not be what works. */
export async function findIsolation(context: PluginContext, signal: AbortSignal): Promise<FoundIsolation> {
  const complaints: string[] = [];
  for (const isolation of ['root', 'user'] as const) {
    try {
      const attempt = [
        ...unshareArguments(isolation),
        '--fork',
        '--kill-child',
        'sh',
        '-c',
        'mount -t proc proc /proc',
      ];
      await context.run('unshare', attempt, { signal, timeout: PROBE_TIMEOUT });
      return { isolation };
    } catch (error) {
      signal.throwIfAborted();
      if (errorKind(error) !== 'environment') throw error;
      complaints.push((error as Error).message.split('\n').slice(-1)[0] ?? '');
    }
  }
  const subordinate = complaints.some((text) => /newuidmap|newgidmap|subuid|subgid|map-auto/.test(text));
  return {
    reason: `neither root nor a user namespace is to be had here (${complaints.join('; ')})`,
    hint: subordinate
      ? 'install uidmap and give the user subordinate ids: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$USER"'
      : 'run as root; in a container, run that with --privileged; or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)',
    ...(subordinate ? { debianPackages: ['uidmap'] } : {}),
  };
}
