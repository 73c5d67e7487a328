import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHARACTER_DEVICE, DIRECTORY, FILE, LINK } from './cpio.mjs';
import { output } from './process.mjs';

const GUEST = fileURLToPath(new URL('../guest', import.meta.url));

const DIRECTORIES = ['bin', 'dev', 'etc', 'lib', 'lib64', 'mnt', 'proc', 'root', 'run', 'sbin', 'sys', 'tmp', 'usr', 'var'];
const NESTED = ['etc/dropbear', 'root/.ssh', 'usr/bin', 'usr/sbin', 'var/log', 'var/tmp'];
const PRIVATE = ['root', 'root/.ssh', 'etc/dropbear'];
const SHARED = ['tmp', 'var/tmp'];

/** Type of an ELF file's segment. */
const PROGRAM_INTERPRETER = 3;

/** Debian's programs, and where they go. */
const BUSYBOX = 'bin/busybox';
const PROGRAMS = {
  dropbear: 'usr/sbin/dropbear',
  dropbearkey: 'usr/bin/dropbearkey',
};

/**
 * The files of the tiny Linux, as entries of a cpio archive: what lies in guest/, Debian's busybox with a link for each of its
 * commands, Debian's dropbear, the libraries of both. `busybox` is a path of this system; `additions`: further files, path to
 * bytes.
 */
export async function rootEntries(busybox, additions) {
  const files = new Map(Object.entries(additions).map(([path, content]) => [path, { content, mode: 0o644 }]));
  const programs = [[busybox, BUSYBOX], ...Object.entries(PROGRAMS).map(([name, path]) => [located(name), path])];
  for (const [program, path] of programs) {
    files.set(path, { content: readFileSync(program), mode: 0o755 });
    for (const library of await libraries(program)) {
      const place = library.includes('/ld-linux') ? 'lib64' : 'lib';
      files.set(`${place}/${basename(library)}`, { content: readFileSync(library), mode: 0o755 });
    }
  }
  const links = new Map((await commands(busybox)).map((path) => [path, '/bin/busybox']));
  for (const path of filesBelow(GUEST)) {
    const own = join(GUEST, path);
    const content = readFileSync(own);
    files.set(path, { content, mode: modeOf(path, content) });
    links.delete(path);
  }
  return [...directories(files, links), ...DEVICES, ...fileEntries(files), ...linkEntries(links)];
}

/** Before devtmpfs is there: what the first program speaks to. */
const DEVICES = [
  { path: 'dev/console', mode: CHARACTER_DEVICE | 0o600, device: [5, 1] },
  { path: 'dev/null', mode: CHARACTER_DEVICE | 0o666, device: [1, 3] },
];

function located(name) {
  for (const folder of ['/bin', '/usr/bin', '/usr/sbin', '/sbin']) {
    if (statSync(join(folder, name), { throwIfNoEntry: false })?.isFile()) return realpathSync(join(folder, name));
  }
  throw new Error(`${name} is not installed; see polyvisor.debianPackages in the package.json of tools/tiny-linux`);
}

async function libraries(program) {
  if (!isDynamic(readFileSync(program))) return [];
  const listed = await output('ldd', [program]);
  return listed.split('\n').flatMap((line) => /(?:=>\s+|^\s+)(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}

/** Whether an ELF file of 64 bits names a program that has to load it. */
function isDynamic(elf) {
  const [start, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  return Array.from({ length: count }, (_, index) => elf.readUInt32LE(start + index * size)).includes(PROGRAM_INTERPRETER);
}

async function commands(busybox) {
  const listed = await output(busybox, ['--list-full']);
  return listed.split('\n').filter((path) => path !== '' && path !== BUSYBOX);
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1))
    .sort();
}

/** By what a file is, not by how the checkout has it: modes do not survive everywhere. */
function modeOf(path, content) {
  if (path === 'etc/shadow') return 0o600;
  return content.subarray(0, 2).toString() === '#!' ? 0o755 : 0o644;
}

function directories(files, links) {
  const all = new Set([...DIRECTORIES, ...NESTED]);
  for (const path of [...files.keys(), ...links.keys()]) {
    const words = path.split('/').slice(0, -1);
    for (let length = 1; length <= words.length; length++) all.add(words.slice(0, length).join('/'));
  }
  return [...all].sort().map((path) => ({
    path,
    mode: DIRECTORY | (PRIVATE.includes(path) ? 0o700 : SHARED.includes(path) ? 0o1777 : 0o755),
  }));
}

function fileEntries(files) {
  return [...files].sort(byPath).map(([path, { content, mode }]) => ({ path, mode: FILE | mode, content }));
}

function linkEntries(links) {
  return [...links].sort(byPath).map(([path, target]) => ({ path, mode: LINK | 0o777, content: Buffer.from(target) }));
}

const byPath = ([left], [right]) => (left < right ? -1 : 1);
