import type { Volume } from './superblock.js';

/** Where the parts of a FAT volume are, in sectors. */
export interface FatLayout {
  readonly bits: 12 | 16 | 32;
  readonly sectorSize: number;
  readonly sectorsPerCluster: number;
  readonly sectors: number;
  readonly tableStart: number;
  readonly rootStart: number;
  readonly rootSectors: number;
  readonly dataStart: number;
  /** First cluster of the root directory; only FAT32 has it among the others. */
  readonly rootCluster: number;
}

/** Clusters of one directory that are followed: those that a boot loader's path needs are in the first ones. */
const MAX_CLUSTERS = 16;

/** The BIOS parameter block of a boot sector, if all of it is possible (Microsoft's FAT specification 1.03). */
export function readFat(head: Buffer): FatLayout | undefined {
  const sectorSize = head.readUInt16LE(11);
  const sectorsPerCluster = head[13] ?? 0;
  const reserved = head.readUInt16LE(14);
  const tables = head[16] ?? 0;
  const rootEntries = head.readUInt16LE(17);
  const sectors = head.readUInt16LE(19) || head.readUInt32LE(32);
  const isFat32 = head.readUInt16LE(22) === 0;
  const tableSectors = isFat32 ? head.readUInt32LE(36) : head.readUInt16LE(22);
  const possible =
    head.readUInt16LE(510) === 0xaa55 &&
    [0xeb, 0xe9].includes(head[0] ?? 0) &&
    [512, 1024, 2048, 4096].includes(sectorSize) &&
    sectorsPerCluster > 0 &&
    (sectorsPerCluster & (sectorsPerCluster - 1)) === 0 &&
    reserved > 0 &&
    [1, 2].includes(tables) &&
    (head[21] ?? 0) >= 0xf0 &&
    tableSectors > 0 &&
    (rootEntries === 0) === isFat32;
  if (!possible) return undefined;
  const rootStart = reserved + tables * tableSectors;
  const rootSectors = Math.ceil((rootEntries * 32) / sectorSize);
  const dataStart = rootStart + rootSectors;
  const clusters = Math.floor((sectors - dataStart) / sectorsPerCluster);
  if (clusters <= 0) return undefined;
  return {
    bits: isFat32 ? 32 : clusters < 4085 ? 12 : 16,
    sectorSize,
    sectorsPerCluster,
    sectors,
    tableStart: reserved,
    rootStart,
    rootSectors,
    dataStart,
    rootCluster: isFat32 ? head.readUInt32LE(44) : 0,
  };
}

/** Whether a file is there, by its short names as they are stored: eight and three characters, filled up with blanks. */
export async function hasFile(volume: Volume, path: readonly string[]): Promise<boolean> {
  const layout = readFat(volume.head);
  if (layout === undefined) return false;
  let entries =
    layout.bits === 32 ? await directory(volume, layout, layout.rootCluster) : await fixedRoot(volume, layout);
  for (const [index, name] of path.entries()) {
    const entry = entryOf(entries, name);
    if (entry === undefined) return false;
    if (index === path.length - 1) return true;
    entries = await directory(volume, layout, entry.readUInt16LE(20) * 65_536 + entry.readUInt16LE(26));
  }
  return false;
}

function fixedRoot(volume: Volume, { rootStart, rootSectors, sectorSize }: FatLayout): Promise<Buffer> {
  return volume.read(rootStart * sectorSize, rootSectors * sectorSize);
}

async function directory(volume: Volume, layout: FatLayout, first: number): Promise<Buffer> {
  const { sectorSize, sectorsPerCluster, dataStart } = layout;
  const clusterSize = sectorSize * sectorsPerCluster;
  const parts: Buffer[] = [];
  let cluster = first;
  for (let step = 0; step < MAX_CLUSTERS && cluster >= 2 && cluster < endOfChain(layout); step++) {
    parts.push(await volume.read(dataStart * sectorSize + (cluster - 2) * clusterSize, clusterSize));
    cluster = await next(volume, layout, cluster);
  }
  return Buffer.concat(parts);
}

function endOfChain({ bits }: FatLayout): number {
  return { 12: 0xff8, 16: 0xfff8, 32: 0xffffff8 }[bits];
}

async function next(volume: Volume, { bits, tableStart, sectorSize }: FatLayout, cluster: number): Promise<number> {
  const start = tableStart * sectorSize;
  if (bits === 32) return (await volume.read(start + cluster * 4, 4)).readUInt32LE() & 0xfffffff;
  if (bits === 16) return (await volume.read(start + cluster * 2, 2)).readUInt16LE();
  const pair = (await volume.read(start + Math.floor(cluster * 1.5), 2)).readUInt16LE();
  return cluster % 2 === 0 ? pair & 0xfff : pair >> 4;
}

function entryOf(entries: Buffer, name: string): Buffer | undefined {
  for (let at = 0; at + 32 <= entries.length && entries[at] !== 0; at += 32) {
    if (entries.toString('latin1', at, at + 11) === name) return entries.subarray(at, at + 32);
  }
  return undefined;
}
