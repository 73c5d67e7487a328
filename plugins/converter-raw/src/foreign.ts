import type { ImageFile } from '@polyvisor/core';

/** A format that a file without a converter of its own may be in, by bytes that no disk starts with by chance. */
interface Foreign {
  readonly name: string;
  readonly offset: number;
  readonly magic: Buffer;
}

const latin1 = (text: string) => Buffer.from(text, 'latin1');
const hex = (digits: string) => Buffer.from(digits, 'hex');

/**
 * Containers, archives and compressed files. A file that begins like one and that no loaded converter knows is more likely
 * that than a disk of which these are the first bytes. What a disk does begin with, boot code, is none of them.
 */
const FOREIGN: readonly Foreign[] = [
  { name: 'qcow or qcow2', offset: 0, magic: latin1('QFI\u00fb') },
  { name: 'VHDX', offset: 0, magic: latin1('vhdxfile') },
  { name: 'a dynamic VHD', offset: 0, magic: latin1('conectix') },
  { name: 'a sparse VMDK', offset: 0, magic: latin1('KDMV') },
  { name: 'a VMDK of ESX', offset: 0, magic: latin1('COWD') },
  { name: 'a VMDK descriptor', offset: 0, magic: latin1('# Disk DescriptorFile') },
  { name: 'VDI', offset: 64, magic: hex('7f10dabe') },
  { name: 'QED', offset: 0, magic: latin1('QED\0') },
  { name: 'a Parallels disk', offset: 0, magic: latin1('WithoutFreeSpace') },
  { name: 'a Parallels disk', offset: 0, magic: latin1('WithouFreSpacExt') },
  { name: 'a Bochs disk', offset: 0, magic: latin1('Bochs Virtual HD Image') },
  { name: 'Expert Witness (E01)', offset: 0, magic: hex('455646090d0aff00') },
  { name: 'WIM', offset: 0, magic: latin1('MSWIM\0\0\0') },
  { name: 'an Android sparse image', offset: 0, magic: hex('3aff26ed') },
  { name: 'an archive (tar)', offset: 257, magic: latin1('ustar') },
  { name: 'an archive (zip)', offset: 0, magic: hex('504b0304') },
  { name: 'an archive (7z)', offset: 0, magic: hex('377abcaf271c') },
  { name: 'a gzip file', offset: 0, magic: hex('1f8b08') },
  { name: 'an xz file', offset: 0, magic: hex('fd377a585a00') },
  { name: 'a bzip2 file', offset: 0, magic: latin1('BZh') },
  { name: 'a zstd file', offset: 0, magic: hex('28b52ffd') },
  { name: 'an LZ4 file', offset: 0, magic: hex('04224d18') },
];

const LONGEST = Math.max(...FOREIGN.map(({ offset, magic }) => offset + magic.length));

/** What a file begins like, for people; undefined when nothing speaks against a raw disk. */
export async function foreignFormat(file: ImageFile): Promise<string | undefined> {
  const start = Buffer.alloc(Math.min(LONGEST, file.size));
  await file.read(start, 0);
  return FOREIGN.find(({ offset, magic }) => start.subarray(offset, offset + magic.length).equals(magic))?.name;
}
