import { type Identity, roundUp } from '@polyvisor/core';
import { type LaidImage, mediumInvalid } from '../laid-image.js';
import type { DirectoryNode } from '../tree.js';
import { bootSector } from './boot-sector.js';
import { ARCHIVE, DIRECTORY, directoryEntry, entriesOf, longNameEntries, VOLUME_LABEL } from './directory-entries.js';
import { ENTRY, fatGeometry, SECTOR } from './fat-geometry.js';
import { fatNames } from './fat-names.js';
import { FileTable } from './file-table.js';

/** Entries of a root directory that everybody reads. */
const ROOT_ENTRIES = 512;
const MOST_ROOT_ENTRIES = 65_520;

const THIS = Buffer.from('.'.padEnd(11), 'latin1');
const PARENT = Buffer.from('..'.padEnd(11), 'latin1');

/** Lays a FAT12 or FAT16 file system over the whole medium, without a partition table. */
export function layFat(
  root: DirectoryNode,
  medium: { readonly label: string; readonly identity: Identity },
): LaidImage {
  const label = fatLabel(medium.label);
  const { identity } = medium;
  const rootEntries = roundUp(Math.max(ROOT_ENTRIES, 1 + entriesIn(root)), SECTOR / ENTRY);
  if (rootEntries > MOST_ROOT_ENTRIES)
    throw mediumInvalid('FAT has no room for so many files in the root directory', 'use directories, or choose `iso`');
  const geometry = fatGeometry((bytesPerCluster) => clustersIn(root, bytesPerCluster), rootEntries);
  const table = new FileTable(geometry);
  const pieces: { offset: number; bytes: Uint8Array }[] = [];

  const lay = (node: DirectoryNode, own: number, parent: number): Buffer => {
    const names = fatNames(node.children.map((child) => child.name));
    const dots = [
      directoryEntry(THIS, DIRECTORY, own, 0, identity.time),
      directoryEntry(PARENT, DIRECTORY, parent, 0, identity.time),
    ];
    const entries = node.children.flatMap((child, n) => {
      const name = names[n] ?? { short: THIS };
      const length = child.kind === 'file' ? child.bytes.length : directoryLength(child);
      const cluster = table.take(length);
      const bytes = child.kind === 'file' ? child.bytes : lay(child, cluster, own);
      if (length > 0) pieces.push({ offset: table.offset(cluster), bytes });
      const [kind, stored] = child.kind === 'file' ? [ARCHIVE, length] : [DIRECTORY, 0];
      return [longNameEntries(name), directoryEntry(name.short, kind, cluster, stored, identity.time)];
    });
    const head = own === 0 ? [directoryEntry(label, VOLUME_LABEL, 0, 0, identity.time)] : dots;
    return Buffer.concat([...head, ...entries]);
  };

  // The root has no cluster, and its children call it number 0.
  pieces.push({ offset: geometry.rootStart * SECTOR, bytes: lay(root, 0, 0) });
  pieces.push({ offset: 0, bytes: bootSector(geometry, label, identity.bytes('fat serial', 4)) });
  for (let n = 0; n < geometry.tables; n++)
    pieces.push({ offset: (geometry.reserved + n * geometry.tableLength) * SECTOR, bytes: table.bytes() });
  return { pieces, size: geometry.total * SECTOR };
}

function fatLabel(label: string): Buffer {
  if (!/^[\w!#$%&'()@^`{}~-](?:[\w !#$%&'()@^`{}~-]{0,9}[\w!#$%&'()@^`{}~-])?$/.test(label))
    throw mediumInvalid(
      `${JSON.stringify(label)} is no label for a FAT file system`,
      'take 1 to 11 letters, digits, `_`, `-` and spaces between them (FAT makes small letters capital), or choose `iso`',
    );
  return Buffer.from(label.toUpperCase().padEnd(11), 'latin1');
}

function entriesIn(node: DirectoryNode): number {
  return fatNames(node.children.map((child) => child.name)).reduce((sum, name) => sum + entriesOf(name), 0);
}

/** Bytes of a directory that is not the root. */
function directoryLength(node: DirectoryNode): number {
  return (2 + entriesIn(node)) * ENTRY;
}

function clustersIn(node: DirectoryNode, bytesPerCluster: number): number {
  return node.children.reduce((sum, child) => {
    if (child.kind === 'file') return sum + Math.ceil(child.bytes.length / bytesPerCluster);
    return sum + Math.ceil(directoryLength(child) / bytesPerCluster) + clustersIn(child, bytesPerCluster);
  }, 0);
}
