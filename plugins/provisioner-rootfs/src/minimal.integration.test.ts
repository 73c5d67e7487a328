import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Appliance, createIdentity, errorKind, type ProvisionJob } from '@polyvisor/core';
import { createTestContext, sampleAppliance } from '@polyvisor/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRootfsProvisioner } from './provisioner.js';

/** Builds of a small system, half a minute each on two cores with a mirror near by. */
const LIMIT = 600_000;
const DEFINITION = join(import.meta.dirname, '../../../definitions/minimal');

/** What definitions/minimal says. Reading it is another package's business, which a plugin may not know. */
const minimal: Appliance = {
  ...sampleAppliance,
  name: 'minimal',
  hostname: 'minimal',
  files: [
    { from: join(DEFINITION, 'files/slim.cfg'), to: '/etc/dpkg/dpkg.cfg.d/slim', mode: 0o644, owner: 'root:root' },
  ],
  scripts: [{ name: 'slim.sh', path: join(DEFINITION, 'scripts/slim.sh'), environment: {}, timeout: 120_000 }],
};

const context = createTestContext();
const provisioner = createRootfsProvisioner(context);
const probe = await provisioner.probe(new AbortController().signal);
// Where CI judges, a test that was left out must not pass for one that held.
if (!probe.usable && process.env['CI']) throw new Error(`${probe.reason}; ${probe.hint}`);

describe.skipIf(!probe.usable)(`a Debian system from packages${probe.usable ? '' : ` (${probe.reason})`}`, () => {
  let directory = '';
  const disks: string[] = [];
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    await mkdir(join(directory, 'cache'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  const unused = () => Promise.reject(new Error('a system of packages reads no images'));

  async function build(name: string, changes: Partial<ProvisionJob> = {}): Promise<void> {
    const workDir = join(directory, name);
    await mkdir(workDir);
    const made = await provisioner.provision({
      appliance: minimal,
      options: {},
      seal: ': >/etc/machine-id\nrm -rf /var/log/* /var/cache/apt/* /etc/*- /var/lib/dpkg/*-old /var/cache/debconf/*-old',
      identity: createIdentity('integration', 1_700_000_000),
      workDir,
      cacheDir: join(directory, 'cache'),
      offline: false,
      logDir: directory,
      images: { open: unused, write: unused },
      emit: () => undefined,
      signal: AbortSignal.timeout(LIMIT),
      ...changes,
    });
    expect(made.inventory['grub-cloud-amd64']).toBeDefined();
    await rename(join(workDir, 'disk.raw'), join(directory, `${name}.raw`));
    disks.push(join(directory, `${name}.raw`));
    await made[Symbol.asyncDispose]();
  }

  it(
    'comes out the same, byte for byte, without a network, from cached packages and from the cached tree',
    async () => {
      await build('first');
      for (const name of await readdir(join(directory, 'cache'))) {
        await rm(join(directory, 'cache', name, 'trees'), { recursive: true });
      }
      await build('packages', { offline: true });
      await build('tree', { offline: true });
      expect(context.lines.filter((line) => line.includes('that tree is used again'))).toHaveLength(1);
      const [first = '', ...others] = disks;
      for (const other of others) await context.run('cmp', [first, other]);
      expect(context.running()).toEqual([]);
    },
    LIMIT,
  );

  it('has a table and file systems without faults, and only packages for data', async () => {
    const [disk = ''] = disks;
    expect(
      (await context.run('sh', ['-c', 'PATH=$PATH:/usr/sbin; sgdisk --verify "$1"', 'sh', disk])).stdout,
    ).toContain('No problems found');
    await context.run('sh', ['-c', 'PATH=$PATH:/usr/sbin; e2fsck -fn "$1?offset=69206016"', 'sh', disk]);
    const { stdout } = await context.run('du', ['--block-size=1M', disk]);
    expect(Number.parseInt(stdout, 10)).toBeLessThan(700);
  });

  it('has the drivers of every hypervisor in its initramfs', async () => {
    const [disk = ''] = disks;
    const { stdout } = await context.run('sh', [
      '-c',
      `PATH=$PATH:/usr/sbin; disk=$1?offset=69206016
      name=$(debugfs -R 'ls -p /boot' "$disk" 2>/dev/null | grep -o 'initrd.img-[^/]*')
      debugfs -R "cat /boot/$name" "$disk" 2>/dev/null | zstd -dc | cpio --list --quiet`,
      'sh',
      disk,
    ]);
    for (const driver of [
      'virtio_blk',
      'virtio_scsi',
      'xen-blkfront',
      'hv_storvsc',
      'vmw_pvscsi',
      'mptspi',
      'ahci',
      'ata_piix',
      'nvme',
      'sd_mod',
    ]) {
      expect(stdout).toContain(`/${driver}.ko`);
    }
  });

  it(
    'ends a script that hangs, with all that it started, and leaves nothing behind',
    async () => {
      const script = join(directory, 'hang.sh');
      await context.run('sh', ['-c', `printf '#!/bin/sh\\nsetsid sleep 4321 &\\nsleep 4321\\n' >"$1"`, 'sh', script]);
      const hanging = { ...minimal, scripts: [{ name: 'hang.sh', path: script, environment: {}, timeout: 2000 }] };
      await expect(build('hanging', { appliance: hanging, offline: true })).rejects.toSatisfy(
        (error) => errorKind(error) === 'guest' && (error as { code: string }).code === 'script-timeout',
      );
      expect((await context.run('pgrep', ['-f', 'sleep 4321'], { acceptExitCodes: [1] })).stdout).toBe('');
      expect((await context.run('cat', ['/proc/mounts'])).stdout).not.toContain(directory);
    },
    LIMIT,
  );
});
