import { type FileHandle, open, readFile } from 'node:fs/promises';
import { isZero } from '@polyvisor/core';
import { GPT_TAIL_SECTORS, writeGpt } from './gpt.js';
import type { GrubBios } from './grub-bios.js';
import type { Layout } from './layout.js';
import { swapHeader } from './swap.js';

const SECTOR = 512;
/** Granularity at which zeros of the EFI system partition stay holes. */
const UNIT = 64 * 1024;

/** Makes the empty disk: a file of the full size that takes no room. */
export async function createDisk(path: string, layout: Layout): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.truncate(layout.sectors * SECTOR);
  } finally {
    await file.close();
  }
}

/** Writes everything that is outside of the ext4 file systems: tables, boot code, EFI system partition, swap headers. */
export async function writeBootArea(path: string, layout: Layout, grub: GrubBios, esp: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { head, tail } = writeGpt(layout.sectors, layout.diskGuid, layout.table, grub.bootCode);
    await put(file, head, 0);
    await put(file, tail, (layout.sectors - GPT_TAIL_SECTORS) * SECTOR);
    await put(file, grub.core, layout.biosBoot.firstSector * SECTOR);
    const efi = await readFile(esp);
    for (let at = 0; at < efi.length; at += UNIT) {
      const part = efi.subarray(at, at + UNIT);
      if (!isZero(part)) await put(file, part, layout.esp.firstSector * SECTOR + at);
    }
    for (const { filesystem, offset, length, uuid, label } of layout.partitions) {
      if (filesystem === 'swap') await put(file, swapHeader(length, uuid, label), offset);
    }
  } finally {
    await file.close();
  }
}

async function put(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  await file.write(bytes, 0, bytes.length, at);
}
