import type { Identity } from '@polyvisor/core';
import { type LaidImage, mediumInvalid } from '../laid-image.js';
import type { DirectoryNode, FileNode } from '../tree.js';
import { directoryBytes, type Place, type Places } from './directory-bytes.js';
import { FIRST_DESCRIPTOR, SECTOR } from './iso-fields.js';
import { jolietNames, plainNames } from './iso-names.js';
import { hierarchy, type IsoTree } from './iso-tree.js';
import { pathTable } from './path-table.js';
import { descriptorTerminator, volumeDescriptor } from './volume-descriptor.js';

/** So that a directory record, which has at most 255 bytes, holds the name and everything else. */
const LONGEST_NAME = 128;

/** Lays an ISO 9660 file system: plain names of 8.3, Rock Ridge for Unix, Joliet for Windows; the files are shared. */
export function layIso(
  root: DirectoryNode,
  medium: { readonly label: string; readonly identity: Identity },
): LaidImage {
  checkLabel(medium.label);
  const primary = hierarchy(root, (children) => {
    children.forEach(checkName);
    const names = plainNames(children);
    return children.map((child, n) => Buffer.from(`${names[n]}${child.kind === 'file' ? ';1' : ''}`, 'latin1'));
  });
  const joliet = hierarchy(root, (children) =>
    jolietNames(children).map((name) => Buffer.from(name, 'utf16le').swap16()),
  );
  return place(primary, joliet, medium.label, medium.identity.time);
}

function place(primary: IsoTree, joliet: IsoTree, label: string, time: number): LaidImage {
  const pieces: { offset: number; bytes: Uint8Array }[] = [];
  let next = FIRST_DESCRIPTOR + 3;
  const take = (length: number): Place => {
    const sector = next;
    next += Math.ceil(length / SECTOR);
    return { sector, length };
  };
  const put = (sector: number, bytes: Uint8Array) => pieces.push({ offset: sector * SECTOR, bytes });

  const nowhere: Place = { sector: 0, length: 0 };
  const laid = [primary, joliet].map((tree) => {
    const table = pathTable(tree, () => nowhere, 'little').length;
    return { tree, table, little: take(table), big: take(table) };
  });
  // How long a directory is does not depend on where things are.
  const unplaced = { directory: () => nowhere, file: () => nowhere, time };
  const directories = laid.map(({ tree }, n) =>
    tree.map((_, number) => take(directoryBytes(tree, number, { ...unplaced, rockRidge: n === 0 }).length)),
  );
  const files = new Map<FileNode, Place>();
  for (const { entries } of primary)
    for (const { node } of entries) {
      if (node.kind !== 'file') continue;
      const at = take(node.bytes.length);
      files.set(node, at);
      put(at.sector, node.bytes);
    }
  laid.forEach(({ tree, table, little, big }, n) => {
    const directory = (number: number) => directories[n]?.[number] ?? nowhere;
    const places: Places = { directory, file: (node) => files.get(node) ?? nowhere, time, rockRidge: n === 0 };
    put(little.sector, pathTable(tree, directory, 'little'));
    put(big.sector, pathTable(tree, directory, 'big'));
    tree.forEach((_, number) => put(directory(number).sector, directoryBytes(tree, number, places)));
    put(
      FIRST_DESCRIPTOR + n,
      volumeDescriptor({
        joliet: n === 1,
        label,
        sectors: next,
        root: directory(0),
        pathTableLength: table,
        littleTable: little.sector,
        bigTable: big.sector,
        time,
      }),
    );
  });
  put(FIRST_DESCRIPTOR + 2, descriptorTerminator());
  return { pieces, size: next * SECTOR };
}

/** Small letters are none of the standard's, yet everybody writes them and `cidata` is looked for in exactly this case. */
function checkLabel(label: string): void {
  if (!/^[\w.-](?:[\w. -]{0,30}[\w.-])?$/.test(label))
    throw mediumInvalid(
      `${JSON.stringify(label)} is no label for an ISO 9660 file system`,
      'take 1 to 32 letters, digits, `_`, `-`, `.` and spaces between them',
    );
}

function checkName({ name }: { readonly name: string }): void {
  if (Buffer.byteLength(name) > LONGEST_NAME)
    throw mediumInvalid(`the name ${name} has more than ${LONGEST_NAME} bytes`, 'shorten it');
}
