import type { ImageFile } from '@polyvisor/core';

/**
 * Formats that are no raw disk although no loaded converter claims them: nobody reads them, their plugin is not loaded, or they are
 * too damaged for it. Asked only then, so a plugin that reads one of them need not be told here: it wins.
 */
export interface ForeignFormat {
  /** For people, with its article. */
  readonly name: string;
  readonly hint: string;
}

interface Signature extends ForeignFormat {
  /** Bytes from the start of the file; negative from its end. */
  readonly offset: number;
  /** As Latin-1. */
  readonly mark: string;
  /** For marks that are too short to be sure. */
  readonly confirm?: (start: Buffer) => boolean;
}

/** What confirming functions get to see, in bytes. */
const START_SIZE = 512;

const withQemu = 'let the program that made it, or qemu-img, write it as raw or qcow2 first';
const unpackFirst = 'unpack it first, and name the disk image that is in it';

const loadPlugin = 'load the plugin that reads it; with --from and its name it tells what is wrong with a damaged one';

const SIGNATURES: readonly Signature[] = [
  { name: 'a QCOW2 disk', offset: 0, mark: 'QFI\xfb', confirm: (start) => start.readUInt32BE(4) > 1, hint: loadPlugin },
  { name: 'a VMDK disk', offset: 0, mark: 'KDMV', hint: loadPlugin },
  { name: 'the descriptor of a VMDK disk', offset: 0, mark: '# Disk DescriptorFile', hint: loadPlugin },
  { name: 'a VHDX disk', offset: 0, mark: 'vhdxfile', hint: loadPlugin },
  { name: 'a VDI disk', offset: 64, mark: '\x7f\x10\xda\xbe', hint: loadPlugin },
  {
    name: 'a QCOW disk of version 1',
    offset: 0,
    mark: 'QFI\xfb',
    confirm: (start) => start.readUInt32BE(4) === 1,
    hint: withQemu,
  },
  { name: 'a QED disk', offset: 0, mark: 'QED\0', hint: withQemu },
  { name: 'a Parallels disk', offset: 0, mark: 'WithoutFreeSpace', hint: withQemu },
  { name: 'a Parallels disk', offset: 0, mark: 'WithouFreSpacExt', hint: withQemu },
  { name: 'a Bochs disk', offset: 0, mark: 'Bochs Virtual HD Image', hint: withQemu },
  {
    name: 'a compressed loop image (cloop)',
    offset: 0,
    mark: '#!/bin/sh\n#V',
    confirm: (start) => start.includes('cloop'),
    hint: withQemu,
  },
  {
    name: 'a copy-on-write disk of ESX (COWD)',
    offset: 0,
    mark: 'COWD',
    hint: 'export the virtual machine as an OVA, or clone the disk with vmkfstools',
  },
  {
    name: 'a space-efficient disk of ESXi (SESparse)',
    offset: 0,
    mark: '\xbe\xba\xfe\xca\0\0\0\0',
    hint: 'export the virtual machine as an OVA, or clone the disk with vmkfstools',
  },
  {
    name: 'an Apple disk image (DMG)',
    offset: -512,
    mark: 'koly\0\0\0\x04',
    hint: 'convert it with hdiutil or dmg2img',
  },
  { name: 'an encrypted Apple disk image', offset: 0, mark: 'encrcdsa', hint: 'convert it with hdiutil' },
  { name: 'a sparse Apple disk image', offset: 0, mark: 'sprs\0\0\0', hint: 'convert it with hdiutil' },
  { name: 'an Android sparse image', offset: 0, mark: '\x3a\xff\x26\xed', hint: 'make it raw with simg2img' },
  {
    name: 'an EnCase evidence file (EWF)',
    offset: 0,
    mark: 'EVF\t\r\n\xff\0',
    hint: 'export it as raw with ewfexport',
  },
  {
    name: 'an EnCase evidence file (EWF 2)',
    offset: 0,
    mark: 'EVF2\r\n\x81\0',
    hint: 'export it as raw with ewfexport',
  },
  { name: 'a logical evidence file (EWF)', offset: 0, mark: 'LVF\t\r\n\xff\0', hint: 'it holds files, not a disk' },
  {
    name: 'an Advanced Forensic Format image',
    offset: 0,
    mark: 'AFF10\r\n\0',
    hint: 'export it as raw with affconvert',
  },
  { name: 'a partclone image', offset: 0, mark: 'partclone-image', hint: 'restore it with partclone first' },
  { name: 'a Windows imaging file (WIM)', offset: 0, mark: 'MSWIM\0\0\0', hint: 'it holds files, not a disk' },
  { name: 'a Windows imaging file (WIM)', offset: 0, mark: 'WLPWM\0\0\0', hint: 'it holds files, not a disk' },
  {
    name: 'an encrypted LUKS container',
    offset: 0,
    mark: 'LUKS\xba\xbe',
    hint: 'open it with cryptsetup and name the device that it makes',
  },
  {
    name: 'a tar archive without an appliance in it',
    offset: 257,
    mark: 'ustar',
    confirm: hasTarChecksum,
    hint: unpackFirst,
  },
  { name: 'a ZIP archive', offset: 0, mark: 'PK\x03\x04', hint: unpackFirst },
  { name: 'an empty ZIP archive', offset: 0, mark: 'PK\x05\x06', hint: unpackFirst },
  { name: 'a 7z archive', offset: 0, mark: '7z\xbc\xaf\x27\x1c', hint: unpackFirst },
  { name: 'a RAR archive', offset: 0, mark: 'Rar!\x1a\x07', hint: unpackFirst },
  { name: 'a file compressed by gzip', offset: 0, mark: '\x1f\x8b\x08', hint: unpackFirst },
  { name: 'a file compressed by xz', offset: 0, mark: '\xfd7zXZ\0', hint: unpackFirst },
  {
    name: 'a file compressed by bzip2',
    offset: 0,
    mark: 'BZh',
    confirm: (start) => ['1AY&SY', '\x17rE8P\x90'].includes(start.toString('latin1', 4, 10)),
    hint: unpackFirst,
  },
  { name: 'a file compressed by zstd', offset: 0, mark: '\x28\xb5\x2f\xfd', hint: unpackFirst },
  { name: 'a file compressed by lz4', offset: 0, mark: '\x04\x22\x4d\x18', hint: unpackFirst },
  { name: 'a file compressed by lzop', offset: 0, mark: '\x89LZO\0\r\n\x1a\n', hint: unpackFirst },
];

/** Names of files whose content has no mark that would tell them from a raw disk. */
const EXTENSIONS: Readonly<Record<string, ForeignFormat>> = {
  '.vhds': { name: 'a VHD set of Hyper-V', hint: 'name the .avhdx file that it stands for' },
};

/** Marks of optical discs, which are raw as well: ECMA-119 §8.1.2 and ECMA-167, in sector 16 of 2048 bytes. */
const OPTICAL = ['CD001', 'BEA01'];
const OPTICAL_OFFSET = 16 * 2048 + 1;

/** The format of a file that only looks like a raw disk because nobody reads it. */
export async function foreignFormat(file: ImageFile): Promise<ForeignFormat | undefined> {
  const start = Buffer.alloc(START_SIZE);
  await file.read(start.subarray(0, Math.min(START_SIZE, file.size)), 0);
  const end = Buffer.alloc(START_SIZE);
  if (file.size >= START_SIZE) await file.read(end, file.size - START_SIZE);
  for (const signature of SIGNATURES) {
    const { offset, mark, confirm } = signature;
    const [bytes, at] = offset < 0 ? [end, START_SIZE + offset] : [start, offset];
    if (bytes.toString('latin1', at, at + mark.length) === mark && confirm?.(start) !== false) return signature;
  }
  const name = file.path.toLowerCase();
  return Object.entries(EXTENSIONS).find(([extension]) => name.endsWith(extension))?.[1];
}

/** Whether a raw disk is the image of a CD or DVD. */
export async function isOptical(file: ImageFile): Promise<boolean> {
  const mark = Buffer.alloc(5);
  if (file.size < OPTICAL_OFFSET + mark.length) return false;
  await file.read(mark, OPTICAL_OFFSET);
  return OPTICAL.includes(mark.toString('latin1'));
}

/** The sum of a header's bytes, its own eight taken as blanks, in octal digits (POSIX.1-1988, ustar). */
function hasTarChecksum(header: Buffer): boolean {
  const stored = Number.parseInt(header.toString('latin1', 148, 156), 8);
  let sum = 0;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 0x20 : byte;
  return stored === sum;
}
