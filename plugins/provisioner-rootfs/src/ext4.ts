import type { TreeEntry } from './tree.js';

/**
 * Every feature by name, since the defaults differ between versions and machines: those of Debian 12's own ext4, which
 * its kernel, GRUB and resize2fs know.
 */
export const MKE2FS_CONFIG = `[defaults]
base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
default_mntopts = acl,user_xattr
enable_periodic_fsck = 0
blocksize = 4096
inode_size = 256
inode_ratio = 16384
reserved_ratio = 1.0

[fs_types]
ext4 = {
features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
}
`;

/** Places inside the disk are given to e2fsprogs this way, so that a file system is made where it belongs. */
export function atOffset(disk: string, offset: number): string {
  return `${disk}?offset=${offset}`;
}

export interface Ext4Volume {
  readonly disk: string;
  /** In bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
  readonly uuid: string;
  /** Decides the order of large directories. */
  readonly hashSeed: string;
  readonly label: string;
}

/** An empty file system. Nothing is left for the guest's kernel to zero later: the file's holes are zeros already. */
export function mke2fsArguments({ disk, offset, length, uuid, hashSeed, label }: Ext4Volume): string[] {
  const extended = `offset=${offset},hash_seed=${hashSeed},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,nodiscard`;
  return ['-q', '-F', '-t', 'ext4', '-U', uuid, '-L', label, '-E', extended, disk, `${Math.floor(length / 1024)}k`];
}

export interface PopulateOptions {
  /** Directory whose paths the entries are relative to; a path without quotes or line ends, as `NAME_BYTES`. */
  readonly from: string;
  /** Seconds since 1970; nothing in the file system is younger. */
  readonly latest: number;
  /** Directory with values of extended attributes, one file each; as `NAME_BYTES`. */
  readonly attributes: string;
}

/**
 * Commands for `debugfs -w -f` that copy a tree. The order of the entries decides which inode and which blocks each
 * gets, and every time is set, so that equal trees give equal bytes; mke2fs's own `-d` takes both from the host.
 * Fed with entries in order of their paths, parents first; the first is the root, whose path is empty.
 */
export function* populateCommands(entries: Iterable<TreeEntry>, options: PopulateOptions): Generator<string> {
  const names = new Map<string, { readonly first: string; count: number }>();
  let now: number | undefined;
  for (const entry of entries) {
    const path = `/${entry.path}`;
    const time = Math.max(1, Math.min(entry.time, options.latest));
    if (time !== now) yield `set_current_time @${(now = time)}`;
    const link = entry.kind === 'file' && entry.links > 1 ? names.get(entry.inode) : undefined;
    if (link !== undefined) {
      link.count++;
      yield `ln ${quoted(link.first)} ${quoted(path)}`;
      continue;
    }
    if (entry.kind === 'file') names.set(entry.inode, { first: path, count: 1 });
    yield* create(entry, path, time, options);
    yield* describe(entry, path, options);
  }
  // `ln` adds a name and does not count it.
  for (const { first, count } of names.values()) {
    if (count > 1) yield `sif ${quoted(first)} links_count ${count}`;
  }
  // How much was written to get here depends on the holes in the host's files. Zero is never counted up.
  yield 'set_super_value kbytes_written 0';
}

function* create(entry: TreeEntry, path: string, time: number, options: PopulateOptions): Generator<string> {
  switch (entry.kind) {
    case 'directory':
      if (path !== '/') yield `mkdir ${quoted(path)}`;
      else yield* ['atime', 'ctime', 'mtime', 'crtime'].map((field) => `sif / ${field} @${time}`);
      return;
    case 'file':
      yield `write ${quoted(`${options.from}/${entry.source}`)} ${quoted(path)}`;
      return;
    case 'symlink':
      yield `symlink ${quoted(path)} ${quoted(entry.target)}`;
      return;
    case 'fifo':
    case 'character':
    case 'block': {
      // `mknod` takes a name in the current directory only, and all others are surest from the root.
      const slash = path.lastIndexOf('/');
      const type = { fifo: 'p', character: 'c', block: 'b' }[entry.kind];
      const numbers = entry.kind === 'fifo' ? '' : ` ${entry.major} ${entry.minor}`;
      yield `cd ${quoted(path.slice(0, slash) || '/')}`;
      yield `mknod ${quoted(path.slice(slash + 1))} ${type}${numbers}`;
      yield 'cd /';
    }
  }
}

/** Permissions, owner and extended attributes. `write` keeps a file's permissions; links have none of their own. */
function* describe(entry: TreeEntry, path: string, options: PopulateOptions): Generator<string> {
  const target = quoted(path);
  if (entry.kind !== 'file' && entry.kind !== 'symlink') {
    const plain = entry.kind === 'directory' && entry.mode === 0o755 && path !== '/';
    if (!plain) yield `sif ${target} mode 0${(TYPE_BITS[entry.kind] | entry.mode).toString(8)}`;
  }
  if (entry.user !== 0) yield `sif ${target} uid ${entry.user}`;
  if (entry.group !== 0) yield `sif ${target} gid ${entry.group}`;
  for (const { name, file } of entry.attributes) {
    yield `ea_set -f ${quoted(`${options.attributes}/${file}`)} ${target} ${name}`;
  }
}

const TYPE_BITS = { directory: 0o040000, fifo: 0o010000, character: 0o020000, block: 0o060000 } as const;

/** debugfs takes names in double quotes, in which a double quote is written twice. */
function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
