import { GuestError } from '@polyvisor/core';
import { NAME_BYTES, readableName } from './name-bytes.js';

/** One name in the file system tree of the guest. Paths and targets have a character for each byte; see `NAME_BYTES`. */
export interface TreeEntry {
  readonly kind: 'directory' | 'file' | 'symlink' | 'fifo' | 'character' | 'block';
  /** Below the file system's own root, without a leading slash; empty for that root. */
  readonly path: string;
  /** The same file below the root of the whole tree. */
  readonly source: string;
  /** Tells names of one file from those of others. */
  readonly inode: string;
  /** Names that the file has. */
  readonly links: number;
  readonly mode: number;
  readonly user: number;
  readonly group: number;
  /** Of its last change, in whole seconds since 1970. */
  readonly time: number;
  /** Of a symbolic link. */
  readonly target: string;
  /** Of a device. */
  readonly major: number;
  readonly minor: number;
  readonly attributes: readonly TreeAttribute[];
}

/** An extended attribute, whose value is kept in a file of its own. */
export interface TreeAttribute {
  readonly name: string;
  readonly file: string;
}

/**
 * What `find` has to print for `parseTree`, and where it does not look: the kernel's own file systems, the EFI system
 * partition (a file system of its own) and what lives no longer than a run of the system.
 */
export const FIND_TREE = [
  '-xdev',
  ...['./proc', './sys', './dev', './run', './tmp', './boot/efi'].flatMap((path) => [
    '-path',
    `${path}/*`,
    '-prune',
    '-o',
  ]),
  '-printf',
  '%y\\0%i\\0%n\\0%m\\0%U\\0%G\\0%T@\\0%P\\0%l\\0',
];

const FIELDS = 9;

const KINDS: Readonly<Record<string, TreeEntry['kind']>> = {
  d: 'directory',
  f: 'file',
  l: 'symlink',
  p: 'fifo',
  c: 'character',
  b: 'block',
};

/** Device numbers (`stat --printf '%t\0%T\0%n\0'`, hexadecimal) and attributes, both by path. */
export interface TreeDetails {
  readonly devices: ReadonlyMap<string, { readonly major: number; readonly minor: number }>;
  readonly attributes: ReadonlyMap<string, readonly TreeAttribute[]>;
}

/** Reads what `find` printed, as `NAME_BYTES`, in the order of the paths' bytes, parents first. Sockets are left out: their makers are gone. */
export function parseTree(text: string, { devices, attributes }: TreeDetails): TreeEntry[] {
  const fields = text.split('\0');
  const entries: TreeEntry[] = [];
  for (let at = 0; at + FIELDS < fields.length; at += FIELDS) {
    const [type, inode, links, mode, user, group, time, path, target] = fields.slice(at, at + FIELDS) as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const kind = KINDS[type];
    if (kind === undefined) continue;
    if (/[\n\r]/.test(path) || /[\n\r]/.test(target)) {
      throw new GuestError(
        'file-name-unsupported',
        `the name of ${JSON.stringify(`/${readableName(path)}`)} has a line end in it`,
        {
          hint: 'remove or rename it in a script of the definition',
        },
      );
    }
    entries.push({
      kind,
      path,
      source: path,
      inode,
      links: Number(links),
      mode: Number.parseInt(mode, 8),
      user: Number(user),
      group: Number(group),
      time: Math.floor(Number(time)),
      target,
      ...(devices.get(path) ?? { major: 0, minor: 0 }),
      attributes: attributes.get(path) ?? [],
    });
  }
  return entries.sort((one, other) => compare(one.path, other.path));
}

export function parseDevices(text: string): Map<string, { major: number; minor: number }> {
  const fields = text.split('\0');
  const devices = new Map<string, { major: number; minor: number }>();
  for (let at = 0; at + 3 < fields.length; at += 3) {
    const [major = '', minor = '', path = ''] = fields.slice(at, at + 3);
    devices.set(path.replace(/^\.\//, ''), { major: Number.parseInt(major, 16), minor: Number.parseInt(minor, 16) });
  }
  return devices;
}

/** By parts, so that a directory's contents follow it at once and do not depend on how `/` sorts. */
function compare(one: string, other: string): number {
  const left = one.split('/');
  const right = other.split('/');
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const order = Buffer.compare(Buffer.from(left[at] ?? '', NAME_BYTES), Buffer.from(right[at] ?? '', NAME_BYTES));
    if (order !== 0) return order;
  }
  // The root is one empty part, before everything; otherwise the parent comes first.
  return left.length - right.length;
}

/**
 * The part of a tree that lies in the file system mounted on `mount`, with paths below it. The mount points of other
 * file systems stay as empty directories.
 */
export function subtree(entries: readonly TreeEntry[], mount: string, others: readonly string[]): TreeEntry[] {
  const prefix = mount === '/' ? '' : mount.slice(1);
  const deeper = others
    .map((other) => other.slice(1))
    .filter((other) => other !== prefix && (prefix === '' || other.startsWith(`${prefix}/`)));
  return entries
    .filter(({ path }) => prefix === '' || path === prefix || path.startsWith(`${prefix}/`))
    .filter(({ path }) => !deeper.some((other) => path.startsWith(`${other}/`)))
    .map((entry) => ({ ...entry, path: prefix === '' ? entry.path : entry.path.slice(prefix.length + 1) }));
}
