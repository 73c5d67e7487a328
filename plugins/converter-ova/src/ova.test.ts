import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openImageFile } from '@polyvisor/core';
import {
  describeConverter,
  judgeWith,
  type Oracle,
  qemuImgCompare,
  qemuImgSize,
  vboxManageImports,
  type Verdict,
} from '@polyvisor/testkit';
import { ova } from './ova.js';

/** QEMU's own VMDK reader on the disk where it lies in the archive, as the boot check starts it. */
const inPlace = async (image: string) => {
  await using file = await openImageFile(image);
  return (await ova.blockNode?.(file)) ?? {};
};

/** A judge of what GNU tar takes out of the archive. */
function unpacked(
  command: string,
  debianPackage: string,
  judge: (directory: string, members: readonly string[], verdict: Verdict) => Promise<void>,
): Oracle {
  return {
    name: command,
    command,
    debianPackage,
    judge: async (verdict) => {
      const directory = `${verdict.image}.${command}`;
      await mkdir(directory);
      await judgeWith('tar', ['--extract', '--file', verdict.image, '--directory', directory]);
      await judge(directory, (await readdir(directory)).sort(), verdict);
    },
  };
}

const oracles = [
  qemuImgCompare(inPlace),
  qemuImgSize(inPlace),
  vboxManageImports(),
  unpacked('tar', 'tar', async (directory, members, { image }) => {
    if (members.join() !== 'sample-disk1.vmdk,sample.mf,sample.ovf') throw new Error(`tar found ${members.join()}`);
    const listed = await judgeWith('tar', ['--list', '--file', image]);
    if (listed !== 'sample.ovf\nsample.mf\nsample-disk1.vmdk\n') throw new Error(`tar lists ${listed}`);
    const vmdk = await readFile(join(directory, 'sample-disk1.vmdk'));
    if (!(await readFile(join(directory, 'sample.ovf'), 'utf8')).includes(`ovf:size="${vmdk.length}"`))
      throw new Error('the descriptor has another size');
  }),
  unpacked('vmdkinfo', 'libvmdk-utils', async (directory, _, { size }) => {
    const info = await judgeWith('vmdkinfo', [join(directory, 'sample-disk1.vmdk')]);
    if (!info.includes('Stream optimized') || !info.includes(`(${size} bytes)`))
      throw new Error(`vmdkinfo says: ${info}`);
  }),
  unpacked('xmllint', 'libxml2-utils', async (directory) => {
    await judgeWith('xmllint', ['--noout', '--nonet', join(directory, 'sample.ovf')]);
    const href = await judgeWith('xmllint', [
      '--xpath',
      'string(//*[local-name()="File"]/@*[local-name()="href"])',
      join(directory, 'sample.ovf'),
    ]);
    if (href.trim() !== 'sample-disk1.vmdk') throw new Error(`xmllint finds ${href}`);
  }),
  // coreutils wants a space before the bracket and before the equals sign, ESXi neither; the rest is the same.
  unpacked('cksum', 'coreutils', async (directory) => {
    const manifest = await readFile(join(directory, 'sample.mf'), 'utf8');
    const tagged = join(directory, 'tagged');
    await writeFile(tagged, manifest.replaceAll('(sample', ` (${directory}/sample`).replaceAll(')=', ') ='));
    const checked = await judgeWith('cksum', ['--check', '--strict', tagged]);
    if (checked.match(/: OK$/gm)?.length !== 2) throw new Error(`cksum says: ${checked}`);
  }),
];

describeConverter(ova, {
  oracles,
  variants: {
    'for VirtualBox': { flavour: 'virtualbox', firmware: 'uefi', controller: 'sata', level: 1, manifest: 'sha1' },
    'for vSphere 8': { hardware: 20, controller: 'pvscsi', networks: 'VM Network', level: 1, manifest: 'sha512' },
  },
});
