import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { openImageFile } from '@polyvisor/core';
import { accepts, describeConverter, judgeWith, type Oracle, qemuImgCompare, qemuImgSize } from '@polyvisor/testkit';
import { ovf } from './ovf-converter.js';

/** QEMU's own VMDK reader on the disk where it lies beside the descriptor. */
const inPlace = async (image: string) => {
  await using file = await openImageFile(image);
  return (await ovf.blockNode?.(file)) ?? {};
};

const base = (image: string) => basename(image, '.ovf');

/** coreutils wants a space before the bracket and before the equals sign, ESXi neither; the rest is the same. */
const cksum: Oracle = {
  name: 'cksum',
  command: 'cksum',
  debianPackage: 'coreutils',
  judge: async ({ image }) => {
    const folder = dirname(image);
    const manifest = await readFile(join(folder, `${base(image)}.mf`), 'utf8');
    const wanted = [...manifest.matchAll(/^SHA256\((.+)\)= ([0-9a-f]{64})$/gm)].map(([, name, hex]) => [name, hex]);
    if (wanted.length !== 2) throw new Error(`the manifest is ${manifest}`);
    for (const [name = '', hex] of wanted) {
      const found = await judgeWith('cksum', ['--algorithm=sha256', '--untagged', join(folder, name)]);
      if (!found.startsWith(`${hex} `)) throw new Error(`${name} has ${found}`);
    }
    const files = (await readdir(folder)).filter(
      (name) => name.startsWith(`${base(image)}.`) || name.startsWith(`${base(image)}-`),
    );
    if (files.filter((name) => !name.endsWith('.raw')).length !== 3) throw new Error(`there are ${files.join()}`);
  },
};

describeConverter(ovf, {
  oracles: [
    qemuImgCompare(inPlace),
    qemuImgSize(inPlace),
    cksum,
    accepts('xmllint', 'libxml2-utils', ({ image }) => ['--noout', '--nonet', image]),
    accepts(
      'vmdkinfo',
      'libvmdk-utils',
      ({ image }) => [join(dirname(image), `${base(image)}-disk1.vmdk`)],
      ({ size }) => new RegExp(`\\(${size} bytes\\)`),
    ),
  ],
});
