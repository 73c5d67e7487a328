import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Appliance,
  DefinitionError,
  EnvironmentError,
  openImageFile,
  type PackageSource,
  type PluginContext,
  type ProvisionedDisk,
  type Provisioner,
  type ProvisionJob,
  parseOptions,
  stage,
} from '@polyvisor/core';
import { APT_OPTIONS, aptProxies, updateLists } from './apt.js';
import { hasLists, lockCache, mountCache, openCache, type PackageCache } from './cache.js';
import { copyFiles } from './copy.js';
import { createDisk, writeBootArea } from './disk-image.js';
import { makeEsp } from './esp.js';
import { installGrub } from './grub.js';
import type { GrubBios } from './grub-bios.js';
import { enterGuest, packageVersions, writeGuestFiles } from './guest.js';
import { guestFiles, guestSourcesList } from './guest-files.js';
import { type Layout, planLayout } from './layout.js';
import { machineSources } from './machine-sources.js';
import { scratchMemory } from './memory.js';
import { type AptSource, archiveSources, sourceLine } from './mirror.js';
import { BOOTSTRAP_LEFTOVERS, mmdebstrapArguments } from './mmdebstrap.js';
import { type RootfsOptions, rootfsOptions } from './options.js';
import { explainPackageFailure, notCached } from './package-failure.js';
import { removeTree } from './remove-tree.js';
import { needsLocales, packagesOf } from './packages.js';
import { populateFilesystems } from './populate.js';
import { Sandbox } from './sandbox.js';
import { logLine, runScript, runScripts } from './scripts.js';
import { findIsolation, probeTools } from './tools.js';
import { TreeCache, treeKey } from './tree-cache.js';
import { makeUsers } from './users.js';

const GIB = 2 ** 30;

/** A system of packages rarely takes more; a larger disk is holes. */
const USUAL_SYSTEM = 3 * GIB;

/** For the seal, in milliseconds. */
const SEAL_TIMEOUT = 300_000;

/**
 * What maintainer scripts take for the present, in seconds since 1970: a fixed day, so that an installed tree depends on its
 * packages alone and every later build can start from it. Not 0, which shadow(5) takes for a password that has to be changed.
 */
const INSTALLATION_TIME = 1_000_000_000;

/** Later than any build, in seconds since 1970; on the disk, times are cut off at that of the build. */
const TIME_OF_BUILD = 2 ** 31 - 1;

/** Lines of apt's and dpkg's output that are kept to find out why they failed. */
const KEPT_LINES = 400;

/** The guest's keys of Debian's archive, from its package debian-archive-keyring. */
const GUEST_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

export function createRootfsProvisioner(context: PluginContext): Provisioner {
  return {
    id: 'rootfs',
    summary: "Makes a Debian system from packages, without a hypervisor and without root's rights",
    capabilities: { architectures: ['x86_64'], firmware: ['bios', 'uefi'], sources: ['packages'] },
    options: rootfsOptions,
    probe: (signal) => probeTools(context, signal),
    estimate: ({ disk }) => Promise.resolve(Math.min(disk.size, USUAL_SYSTEM)),
    provision: async (job) => {
      const options = parseOptions('provisioner rootfs', rootfsOptions, job.options);
      job.signal.throwIfAborted();
      return new Build(context, job, options).run();
    },
    refusal: (source) =>
      source.kind === 'packages' && source.distribution !== 'debian'
        ? `the provisioner rootfs knows how to boot debian, not ${source.distribution}`
        : undefined,
    discard: (workDir, signal) => removeTree(context, workDir, signal),
  };
}

/** One build: the tree in a sandbox, then the disk from the tree. */
class Build {
  readonly #context: PluginContext;
  readonly #job: ProvisionJob;
  readonly #options: RootfsOptions;
  readonly #source: PackageSource;

  constructor(context: PluginContext, job: ProvisionJob, options: RootfsOptions) {
    this.#context = context;
    this.#job = job;
    this.#options = options;
    this.#source = packageSource(job.appliance);
  }

  async run(): Promise<ProvisionedDisk> {
    const { appliance, identity, workDir, signal, offline } = this.#job;
    const layout = planLayout(appliance, identity);
    const sources = archiveSources(this.#source, await machineSources());
    const cache = await openCache(this.#job.cacheDir, sources);
    if (offline && !(await hasLists(cache))) throw notCached(sources);
    const found = await findIsolation(this.#context, signal);
    if (!('isolation' in found)) throw new EnvironmentError('sandbox-failed', found.reason, { hint: found.hint });
    const memory = scratchMemory(this.#options.scratch);
    const sandbox = await Sandbox.open(this.#context, {
      isolation: found.isolation,
      workDir,
      ...(memory === undefined ? {} : { memory }),
      network: !offline,
      epoch: identity.time,
      signal,
    });
    const disk = join(workDir, 'disk.raw');
    let inventory: Record<string, string>;
    try {
      const grub = await this.#makeTree(sandbox, layout, sources, cache);
      inventory = await packageVersions(sandbox, workDir);
      await this.#stage('disk', 'Putting the disk together', () => this.#makeDisk(sandbox, layout, grub, disk));
    } finally {
      await sandbox[Symbol.asyncDispose]();
    }
    for (const name of await readdir(workDir)) {
      if (name !== 'disk.raw') await rm(join(workDir, name), { recursive: true, force: true });
    }
    return provisioned(disk, inventory);
  }

  /** Everything that happens in the guest, the seal included. Returns the boot code that lies outside of file systems. */
  async #makeTree(
    sandbox: Sandbox,
    layout: Layout,
    sources: readonly AptSource[],
    cache: PackageCache,
  ): Promise<GrubBios> {
    const { appliance, identity, workDir, signal } = this.#job;
    const lock = await lockCache(this.#context, cache, signal, () =>
      this.#job.emit({ type: 'waiting', stage: 'packages', message: 'another build is using the package cache' }),
    );
    try {
      await this.#stage('packages', 'Installing packages', () => this.#install(sandbox, sources, cache));
      const guest = await enterGuest(sandbox);
      try {
        await this.#stage('customise', 'Setting the system up', async () => {
          await writeGuestFiles(sandbox, workDir, guestFiles(appliance, layout, this.#options));
          await this.#localise(sandbox);
          await makeUsers(sandbox, appliance.users, identity);
          await copyFiles(sandbox, appliance.files);
          await runScripts(sandbox, appliance, this.#context.log, this.#job.emit);
        });
        const grub = await this.#stage('bootloader', 'Making it bootable', async () => {
          await sandbox.chroot('update-initramfs', ['-c', '-k', 'all']);
          return installGrub(sandbox, layout, workDir);
        });
        await this.#forgetBuild(sandbox, sources);
        await stage(this.#job.emit, 'seal', 'Sealing', () => this.#seal(sandbox), sealNote);
        return grub;
      } finally {
        await guest[Symbol.asyncDispose]();
      }
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  /** From the cache where the very same packages were installed before, else by mmdebstrap. */
  async #install(sandbox: Sandbox, sources: readonly AptSource[], cache: PackageCache): Promise<void> {
    const { appliance, workDir, signal, offline, emit } = this.#job;
    const { suite } = this.#source;
    const packages = packagesOf(appliance);
    const kept: string[] = [];
    const waiting = (message: string) => emit({ type: 'waiting', stage: 'packages', message });
    const onLine = (line: string) => {
      kept.push(line);
      if (kept.length > KEPT_LINES) kept.shift();
      const step = /^I: ((?!main).*)\.\.\.$/.exec(line)?.[1];
      if (step !== undefined) waiting(step);
    };
    const trees = new TreeCache(cache);
    try {
      const options = [...APT_OPTIONS, ...(await aptProxies(sandbox))];
      if (!offline) {
        waiting('updating the package lists');
        await updateLists(sandbox, workDir, cache, sources, options, onLine);
      }
      const told = [...sources.map(sourceLine), suite, ...packages, await this.#mmdebstrapVersion()];
      const key = await treeKey(cache, told);
      if (await trees.restore(sandbox, key)) {
        this.#context.log.info('the packages were installed before; that tree is used again');
      } else {
        const started = (await sandbox.run('date', ['+%s'])).stdout.trim();
        await sandbox.run(
          'mmdebstrap',
          mmdebstrapArguments({ ...cache, root: sandbox.root, suite, sources, packages, options }),
          {
            onLine,
            timeout: this.#options['package-timeout'] * 1000,
            // The initramfs is made once, at the end, not by every package that could change it.
            env: { INITRD: 'No', DEBIAN_FRONTEND: 'noninteractive', SOURCE_DATE_EPOCH: String(INSTALLATION_TIME) },
          },
        );
        // What the installation itself made is as old as the build, whether this one or a later one that starts from here.
        await sandbox.shell('find "$1" -xdev -newermt "@$2" -exec touch -h -c -d "@$3" {} +', [
          sandbox.root,
          String(Number(started) - 1),
          String(TIME_OF_BUILD),
        ]);
        waiting('keeping the tree for the next build');
        await trees.keep(sandbox, key).catch((error: unknown) => {
          signal.throwIfAborted();
          // Only the next build is slower for it.
          this.#context.log.warn(`the installed packages are not kept for the next build: ${messageOf(error)}`);
        });
      }
    } catch (cause) {
      signal.throwIfAborted();
      throw explainPackageFailure({ sources, offline, transcript: kept.join('\n'), cause });
    }
    await mountCache(sandbox, cache);
    if (!offline) await sandbox.chroot('apt-get', ['autoclean'], { acceptExitCodes: [0, 100] });
  }

  async #mmdebstrapVersion(): Promise<string> {
    return (await this.#context.run('mmdebstrap', ['--version'], { signal: this.#job.signal })).stdout.trim();
  }

  async #localise(sandbox: Sandbox): Promise<void> {
    const { locale, timezone } = this.#job.appliance;
    await sandbox.chroot('ln', ['-sf', `/usr/share/zoneinfo/${timezone}`, '/etc/localtime']);
    if (needsLocales(locale)) await sandbox.chroot('locale-gen');
  }

  /** Takes out of the guest what only the build needed: settings, mounted cache, the address of the build's mirror. */
  async #forgetBuild(sandbox: Sandbox, sources: readonly AptSource[]): Promise<void> {
    const { workDir } = this.#job;
    const mirror = this.#options['guest-mirror'];
    const [before, after] = [join(workDir, 'sources.build'), join(workDir, 'sources.guest')];
    const guestSources = mirror === 'build' ? sources : archiveSources({ ...this.#source, mirror }, []);
    await writeFile(before, `${sources.map(sourceLine).join('\n')}\n`);
    await writeFile(after, guestSourcesList(guestSources, GUEST_KEYRING).text);
    await sandbox.shell(
      `root=$1 before=$2 after=$3; shift 3
      for name in archives lists; do
        case $name in archives) place=var/cache/apt ;; *) place=var/lib/apt ;; esac
        if mountpoint -q "$root/$place/$name"; then umount "$root/$place/$name"; fi
        find "$root/$place/$name" -xdev -mindepth 1 -delete
      done
      rm -f "$root"/var/cache/apt/*.bin "$root/var/cache/ldconfig/aux-cache" "$root/var/log/bootstrap.log"
      for name; do rm -f "$root$name"; done
      # Only if no script of the definition has put its own there.
      if sed '/^$/d' "$root/etc/apt/sources.list" | cmp -s - "$before"; then cat "$after" >"$root/etc/apt/sources.list"; fi`,
      [sandbox.root, before, after, ...BOOTSTRAP_LEFTOVERS],
    );
  }

  /** Returns what was reset, a line each, which only the log has in full. */
  async #seal(sandbox: Sandbox): Promise<readonly string[]> {
    const { workDir, seal } = this.#job;
    const path = join(workDir, 'seal');
    await writeFile(path, seal.startsWith('#!') ? seal : `#!/bin/sh\n${seal}`);
    const reset: string[] = [];
    await runScript(sandbox, 'seal', path, {
      timeout: SEAL_TIMEOUT,
      onLine: (line) => {
        if (!logLine(this.#context.log, 'seal', line)) reset.push(line);
      },
    });
    return reset;
  }

  async #makeDisk(sandbox: Sandbox, layout: Layout, grub: GrubBios, disk: string): Promise<void> {
    const { identity, workDir } = this.#job;
    const esp = join(workDir, 'esp.img');
    const bytes = (layout.esp.lastSector - layout.esp.firstSector + 1) * 512;
    await createDisk(disk, layout);
    await makeEsp(sandbox, esp, { bytes, volumeId: layout.esp.volumeId, time: identity.time });
    await populateFilesystems({ sandbox, disk, layout, identity, workDir });
    await writeBootArea(disk, layout, grub, esp);
  }

  #stage<T>(name: string, title: string, work: () => Promise<T>): Promise<T> {
    return stage(this.#job.emit, name, title, work);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Refuses what this provisioner cannot start from. */
function packageSource({ architecture, source }: Appliance): PackageSource {
  if (architecture !== 'x86_64') {
    throw new DefinitionError(
      'architecture-unsupported',
      `the provisioner rootfs makes x86_64 systems, not ${architecture}`,
      {
        hint: 'set architecture: x86_64, or choose another provisioner',
      },
    );
  }
  if (source.kind !== 'packages') {
    throw new DefinitionError(
      'not-supported',
      `the provisioner rootfs makes systems from packages, not from a ${source.kind}`,
      {
        hint: 'name packages as a source too, or choose another provisioner',
      },
    );
  }
  if (source.distribution !== 'debian') {
    throw new DefinitionError(
      'distribution-unsupported',
      `the provisioner rootfs knows how to boot debian, not ${source.distribution}`,
      { hint: 'set source.packages.distribution: debian, or choose another provisioner' },
    );
  }
  return source;
}

async function provisioned(path: string, inventory: Readonly<Record<string, string>>): Promise<ProvisionedDisk> {
  const disk = await openImageFile(path);
  let released = false;
  return {
    disk,
    inventory,
    [Symbol.asyncDispose]: async () => {
      if (released) return;
      released = true;
      await disk[Symbol.asyncDispose]();
      await rm(path, { force: true });
    },
  };
}

/** `19 things reset (machine-id, backup-files); the log lists them`. A line is `<operation>: <what>`. */
export function sealNote(reset: readonly string[]): string {
  if (reset.length === 0) return 'nothing had to be reset';
  const operations = new Set(reset.map((line) => line.split(':', 1)[0] ?? ''));
  return `${reset.length} things reset (${[...operations].join(', ')}); the log lists them`;
}
