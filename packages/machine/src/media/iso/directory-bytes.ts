import type { DirectoryNode, FileNode } from '../tree.js';
import { bothOrders16, bothOrders32, SECTOR, shortTime } from './iso-fields.js';
import type { IsoDirectory, IsoTree } from './iso-tree.js';
import { alternateName, extensionReference, posixAttributes, sharingProtocol, timeStamps } from './rock-ridge.js';

/** Where something lies: its first sector, and its length in bytes. */
export interface Place {
  readonly sector: number;
  readonly length: number;
}

/** What the directories of a hierarchy need to know of each other and of the files. */
export interface Places {
  directory(number: number): Place;
  file(node: FileNode): Place;
  readonly time: number;
  /** Whether Rock Ridge's entries are added. */
  readonly rockRidge: boolean;
}

const DIRECTORY_MODE = 0o040555;
const FILE_MODE = 0o100444;

/** The records of a directory, filled up to whole sectors; no record goes beyond its sector. */
export function directoryBytes(tree: IsoTree, number: number, places: Places): Buffer {
  const directory = tree[number] as IsoDirectory;
  const records = [
    record(Buffer.of(0), places.directory(number), true, ownUse(directory, number, places), places.time),
    record(Buffer.of(1), places.directory(directory.parent), true, parentUse(tree, directory, places), places.time),
    ...directory.entries.map(({ node, identifier, directory: child }) => {
      const place = node.kind === 'file' ? places.file(node) : places.directory(child ?? 0);
      return record(identifier, place, node.kind === 'directory', childUse(node, places), places.time);
    }),
  ];
  const parts: Buffer[] = [];
  let length = 0;
  for (const each of records) {
    const left = SECTOR - (length % SECTOR);
    if (each.length > left) {
      parts.push(Buffer.alloc(left));
      length += left;
    }
    parts.push(each);
    length += each.length;
  }
  return Buffer.concat(parts, Math.ceil(length / SECTOR) * SECTOR);
}

/** A directory record (ECMA-119 §9.1). */
function record(identifier: Buffer, place: Place, isDirectory: boolean, use: Buffer, time: number): Buffer {
  const head = 33 + identifier.length + (identifier.length % 2 === 0 ? 1 : 0);
  const length = head + use.length + (use.length % 2);
  const bytes = Buffer.alloc(length);
  bytes[0] = length;
  bothOrders32(bytes, place.sector, 2);
  bothOrders32(bytes, place.length, 10);
  shortTime(time).copy(bytes, 18);
  bytes[25] = isDirectory ? 2 : 0;
  bothOrders16(bytes, 1, 28);
  bytes[32] = identifier.length;
  identifier.copy(bytes, 33);
  use.copy(bytes, head);
  return bytes;
}

function ownUse(directory: IsoDirectory, number: number, places: Places): Buffer {
  if (!places.rockRidge) return Buffer.alloc(0);
  const attributes = [posixAttributes(DIRECTORY_MODE, links(directory.node)), timeStamps(places.time)];
  return Buffer.concat(number === 0 ? [sharingProtocol(), ...attributes, extensionReference()] : attributes);
}

function parentUse(tree: IsoTree, directory: IsoDirectory, places: Places): Buffer {
  const parent = tree[directory.parent] as IsoDirectory;
  if (!places.rockRidge) return Buffer.alloc(0);
  return Buffer.concat([posixAttributes(DIRECTORY_MODE, links(parent.node)), timeStamps(places.time)]);
}

function childUse(node: DirectoryNode | FileNode, places: Places): Buffer {
  if (!places.rockRidge) return Buffer.alloc(0);
  const attributes =
    node.kind === 'file' ? posixAttributes(FILE_MODE, 1) : posixAttributes(DIRECTORY_MODE, links(node));
  return Buffer.concat([attributes, timeStamps(places.time), alternateName(Buffer.from(node.name))]);
}

/** As on Unix: itself, its name, and each child's way up. */
function links(node: DirectoryNode): number {
  return 2 + node.children.filter((child) => child.kind === 'directory').length;
}
