import { tarHeader, tarPadding, TAR_END } from './tar.js';
import { readFileBytes, readTree, type TreeEntry, within } from './tree.js';
import type { Upload } from './upload.js';

/** Names on one command line; far below what the smallest systems take. */
const BATCH = 50;

/**
 * Copies a tree in three steps, so that each file appears whole: the directories are made; tar unpacks all else into a place
 * of its own beside them; then the files move to where they belong. What is in the guest already stays, its directories keep
 * owner and mode, and the guest's own links are followed inside the guest, as its root sees them.
 */
export async function uploadTree(upload: Upload): Promise<void> {
  const entries = await readTree(upload.from, upload.signal);
  const total = entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.size : 0), 0);
  const staging = `.polyvisor-${upload.nonce}`;
  const enter = `set -eu; umask 022; cd -- "$1"; rm -rf -- ${staging}`;
  await upload.run(`set -eu; umask 022; mkdir -p -- "$1"; cd -- "$1"; exec sh -eu`, {
    arguments: [upload.to],
    input: pieces(makeDirectories(entries, upload)),
  });
  if (!entries.some(({ kind }) => kind !== 'directory')) return;
  try {
    await upload.run(
      `set -eu; umask 077; command -v tar >/dev/null || { echo 'the guest has no tar: add it to the packages' >&2; exit 1; }
       cd -- "$1"; mkdir ${staging}; cd ${staging}; exec tar -x -p -f -`,
      { arguments: [upload.to], input: upload.counted(archive(entries, upload), total) },
    );
    await upload.run(`set -eu; cd -- "$1"; exec sh -eu`, {
      arguments: [upload.to],
      input: pieces(moves(entries, staging)),
    });
  } finally {
    // When it is cancelled, the guest's disk is of no more use anyway.
    if (!upload.signal.aborted) await upload.run(enter, { arguments: [upload.to] }).catch(() => undefined);
  }
}

/** A directory that is there already, by whatever name or link, stays as it is. */
function* makeDirectories(entries: readonly TreeEntry[], { owner }: Upload): Generator<Buffer> {
  for (const entry of entries) {
    if (entry.kind !== 'directory') continue;
    const path = quoted(entry.name);
    // Nobody but the owner may write, whatever the umask was when the files were checked out.
    const mode = (entry.mode & 0o7755).toString(8);
    yield Buffer.concat([
      Buffer.from('[ -d '),
      path,
      Buffer.from(` ] || { mkdir -- `),
      path,
      Buffer.from(`; chown ${owner.uid}:${owner.gid} `),
      path,
      Buffer.from(`; chmod ${mode} `),
      path,
      Buffer.from('; }\n'),
    ]);
  }
}

/** All but the directories, which tar makes in its place of its own where it needs them. */
async function* archive(entries: readonly TreeEntry[], { from, owner, mode }: Upload): AsyncGenerator<Buffer> {
  for (const entry of entries) {
    if (entry.kind === 'directory') continue;
    const { kind, name, time } = entry;
    const member = { name: Buffer.concat([Buffer.from('./'), name]), type: kind, ...owner, time } as const;
    if (entry.kind === 'link') {
      yield tarHeader({ ...member, mode: 0o777, size: 0, target: entry.target });
      continue;
    }
    yield tarHeader({ ...member, mode: mode ?? entry.mode & 0o7755, size: entry.size });
    yield* readFileBytes(within(from, name), entry.size);
    yield tarPadding(entry.size);
  }
  yield TAR_END;
}

/** Within one file system a move is atomic; several files of one directory share a command. */
function* moves(entries: readonly TreeEntry[], staging: string): Generator<Buffer> {
  const byDirectory = new Map<string, Buffer[]>();
  for (const { kind, name } of entries) {
    if (kind === 'directory') continue;
    const directory = name.subarray(0, Math.max(0, name.lastIndexOf('/'))).toString('latin1');
    const names = byDirectory.get(directory) ?? [];
    byDirectory.set(directory, names);
    names.push(name);
  }
  for (const [directory, names] of byDirectory) {
    for (let start = 0; start < names.length; start += BATCH) {
      const from = names
        .slice(start, start + BATCH)
        .map((name) => Buffer.concat([quoted(Buffer.concat([Buffer.from(`${staging}/`), name])), Buffer.from(' ')]));
      const into = quoted(Buffer.concat([Buffer.from('./'), Buffer.from(directory, 'latin1')]));
      yield Buffer.concat([Buffer.from('mv -f -- '), ...from, into, Buffer.from('\n')]);
    }
  }
}

/** A word of the shell, of bytes. Ours are relative: the `./` keeps a name like `-f` from being an option. */
function quoted(name: Buffer): Buffer {
  const path = name.toString('latin1');
  const plain = path.startsWith('.') ? path : `./${path}`;
  return Buffer.from(`'${plain.replaceAll("'", `'\\''`)}'`, 'latin1');
}

/** Short lines, gathered so that few packets carry them. */
async function* pieces(lines: Iterable<Buffer>): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let bytes = 0;
  for (const line of lines) {
    gathered.push(line);
    bytes += line.length;
    if (bytes < 32 * 1024) continue;
    yield Buffer.concat(gathered);
    [gathered, bytes] = [[], 0];
  }
  yield Buffer.concat(gathered);
}
