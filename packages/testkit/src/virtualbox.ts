import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { judgeWith, type Oracle, type Verdict } from './oracles.js';

/** Where VirtualBox makes the socket of its service, whatever TMPDIR says. */
const SOCKETS = '/tmp';

/** How long its service may take to end, in milliseconds. */
const PATIENCE = 10_000;

/**
 * The command line of VirtualBox: what the set-up of this project's tests names, or has put into the user's cache; else
 * whatever VBoxManage is on PATH.
 */
export function vboxManage(): string {
  const named = process.env['POLYVISOR_VBOXMANAGE'];
  if (named !== undefined && named !== '') return named;
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'polyvisor');
  try {
    const recipes = readdirSync(cache).flatMap((name) => /^virtualbox-(\d+)$/.exec(name)?.[1] ?? []);
    if (recipes.length > 0) return join(cache, `virtualbox-${Math.max(...recipes.map(Number))}`, 'VBoxManage');
  } catch {
    // Nobody has made that folder yet.
  }
  return 'VBoxManage';
}

/** VirtualBox with settings, media and a service of its own, which nothing else on this machine sees. */
export interface VirtualBox extends AsyncDisposable {
  /** Empty at first, and removed at the end; for what a test lets it write. */
  readonly directory: string;
  /** What every command of VirtualBox needs to mean this one. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs VBoxManage and returns what it prints; rejects when it fails. */
  manage(...args: readonly string[]): Promise<string>;
}

/**
 * The service starts with the first command. Machines that are registered here start (`startvm NAME --type headless`) as they
 * are, with the kernel driver or without.
 */
export async function startVirtualBox(): Promise<VirtualBox> {
  const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-vbox-'));
  const socket = `polyvisor-${randomBytes(6).toString('hex')}`;
  const environment = { VBOX_USER_HOME: join(directory, 'home'), VBOX_IPC_SOCKETID: socket };
  const run = (args: readonly string[]) => judgeWith(vboxManage(), args, environment);
  let prepared: Promise<unknown> | undefined;
  return {
    directory,
    environment,
    manage: async (...args) => {
      await (prepared ??= run(['setextradata', 'global', 'VBoxInternal/HM/FallbackToIEM', '1']));
      return run(args);
    },
    [Symbol.asyncDispose]: async () => {
      await endService(join(SOCKETS, `.vbox-${socket}-ipc`));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** It would end by itself some seconds after its last client, and leave its socket behind. */
async function endService(socketDirectory: string): Promise<void> {
  const service = serviceOf(socketDirectory);
  if (service !== undefined) {
    process.kill(service, 'SIGTERM');
    const deadline = Date.now() + PATIENCE;
    while (isService(service) && Date.now() < deadline) await sleep(20);
    if (isService(service)) process.kill(service, 'SIGKILL');
  }
  await rm(socketDirectory, { recursive: true, force: true });
}

/** Its number stands in the lock beside its socket; a number that was given to another program since is none. */
function serviceOf(socketDirectory: string): number | undefined {
  try {
    const service = Number.parseInt(readFileSync(join(socketDirectory, 'lock'), 'latin1'), 10);
    return isService(service) ? service : undefined;
  } catch {
    return undefined;
  }
}

function isService(pid: number): boolean {
  try {
    // What has ended and is not yet waited for has no program any more.
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('VBoxSVC');
  } catch {
    return false;
  }
}

/** `qemu-img compare` of what VirtualBox made of an image with the raw disk; both sizes may be rounded up. */
async function expectEqual(vdi: string, { raw, size }: Verdict): Promise<void> {
  const info = JSON.parse(await judgeWith('qemu-img', ['info', '--output=json', '-f', 'vdi', vdi])) as {
    'virtual-size': number;
  };
  if (info['virtual-size'] !== size)
    throw new Error(`VirtualBox sees ${info['virtual-size']} bytes, the writer announced ${size}`);
  await judgeWith('qemu-img', ['compare', '-f', 'raw', '-F', 'vdi', raw, vdi]);
}

/** A judge that keeps one VirtualBox for all images of a run. */
function withVirtualBox(name: string, judge: (box: VirtualBox, verdict: Verdict) => Promise<void>): Oracle {
  let box: Promise<VirtualBox> | undefined;
  return {
    name,
    command: vboxManage(),
    debianPackage: 'virtualbox (the set-up of `npm test` brings it, or says why it does not)',
    judge: async (verdict) => judge(await (box ??= startVirtualBox()), verdict),
    end: async () => {
      const running = box;
      box = undefined;
      await (await running)?.[Symbol.asyncDispose]();
    },
  };
}

/**
 * `VBoxManage clonemedium`: VirtualBox opens the image under the format that it finds itself, reads the same disk, and sees
 * the size that the writer announced. `format` is the name that it must find: `VDI`, `VMDK`, `VHD`, `VHDX`. What it reads goes
 * into a VDI, for QEMU to compare: into a raw file it would write every zero.
 */
export function vboxManageReads(format: string): Oracle {
  return withVirtualBox('VBoxManage clonemedium', async (box, verdict) => {
    const clone = join(box.directory, `${basename(verdict.image)}.clone.vdi`);
    await box.manage('clonemedium', 'disk', verdict.image, clone, '--format', 'VDI');
    const info = await box.manage('showmediuminfo', 'disk', verdict.image);
    if (!new RegExp(`^Storage format: ${format}$`, 'm').test(info)) throw new Error(`VirtualBox finds this:\n${info}`);
    await expectEqual(clone, verdict);
    // Images of one test may have equal identities, and VirtualBox remembers what it opened.
    await box.manage('closemedium', 'disk', clone, '--delete');
    await box.manage('closemedium', 'disk', verdict.image);
  });
}

/**
 * `VBoxManage import` of an OVA, or of an OVF with its files: checksums and descriptor are taken, a machine results, and the
 * disk attached to it is the same.
 */
export function vboxManageImports(): Oracle {
  return withVirtualBox('VBoxManage import', async (box, verdict) => {
    const folder = join(box.directory, `${basename(verdict.image)}.imported`);
    await box.manage('import', verdict.image, '--vsys', '0', '--vmname', 'imported', '--basefolder', folder);
    const machine = await box.manage('showvminfo', 'imported', '--machinereadable');
    const disks = [...machine.matchAll(/^"[^"]*-\d+-\d+"="([^"]+\.(?:vmdk|vdi))"$/gm)].map(([, path = '']) => path);
    if (disks.length !== 1) throw new Error(`VirtualBox attached ${disks.length} disks:\n${machine}`);
    const clone = join(box.directory, `${basename(verdict.image)}.clone.vdi`);
    await box.manage('clonemedium', 'disk', disks[0] ?? '', clone, '--format', 'VDI');
    await expectEqual(clone, verdict);
    await box.manage('closemedium', 'disk', clone, '--delete');
    await box.manage('unregistervm', 'imported', '--delete');
  });
}
