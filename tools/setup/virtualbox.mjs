import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from './messages.mjs';
import { capture, interrupted } from './process.mjs';
import { downloadPackages, lastLines, Missing } from './sid-packages.mjs';
import { workspaces } from './workspaces.mjs';

/** Tells the tests where VBoxManage is; @polyvisor/testkit looks here first. */
const VARIABLE = 'POLYVISOR_VBOXMANAGE';

/** Counts the ways of setting it up: what an older one made is made anew. */
const RECIPE = 1;
const STAMP = 'polyvisor.json';

const STEP_LIMIT_MS = 60_000;

/**
 * Packages that apt is told are installed already: kernel modules, Python and desktop libraries, which reading and writing
 * disks does not touch. It makes 50 MB out of 150.
 */
const NOT_NEEDED = {
  'virtualbox-dkms': '999',
  python3: '3.14.999',
  'python3.14': '3.14.999',
  'python3-packaging': '999',
  libgl1: '999',
  'libsdl2-2.0-0': '999',
  iproute2: '999',
  procps: '99:999',
  systemd: '999',
  'libx11-6': '99:999',
  libxt6t64: '99:999',
  openssl: '999',
  libgcrypt20: '999',
};

/** What is made to run from the cache: the command line, its service, and the program that looks into single images. */
const PROGRAMS = ['VBoxManage', 'VBoxSVC', 'vbox-img'];

/**
 * Puts VirtualBox's command line where the tests find it, for the workspaces that declare `"programs": ["virtualbox"]`. It is
 * Debian's own package from sid, which brings its own C library, unpacked into the user's cache: nothing of the system
 * changes, no rights and no kernel module are needed. Without it the tests that it would judge say so.
 */
export async function ensureVirtualBox({ wanted = isDeclared() } = {}) {
  if (!wanted || process.env[VARIABLE]) return;
  const directory = join(cacheDirectory(), 'virtualbox');
  try {
    if (!(await isComplete(directory))) await install(directory);
    process.env[VARIABLE] = join(directory, 'VBoxManage');
  } catch (error) {
    // A full disk or a folder that is not ours is no reason to give up the other tests either.
    if (!(error instanceof Missing) && error.syscall === undefined) throw error;
    say(
      `VirtualBox: ${error.message}; what it would judge is skipped${process.env.CI ? ', which CI takes for a failure' : ''}`,
    );
  }
}

function isDeclared() {
  return workspaces().some(({ manifest }) => manifest.polyvisor?.programs?.includes('virtualbox'));
}

/** Outside the checkout, so that all checkouts share it; inside only where there is no home to write to. */
function cacheDirectory() {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  try {
    const directory = join(cache, 'polyvisor');
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
    return directory;
  } catch {
    const directory = resolve('node_modules/.cache/polyvisor');
    mkdirSync(directory, { recursive: true });
    return directory;
  }
}

async function isComplete(directory) {
  try {
    if (JSON.parse(readFileSync(join(directory, STAMP), 'utf8')).recipe !== RECIPE) return false;
  } catch {
    return false;
  }
  return (await capture(join(directory, 'VBoxManage'), ['--version'], { timeout: STEP_LIMIT_MS })).code === 0;
}

/** Everything happens beside the final place, which then gets it whole: runs at the same time do not see each other's halves. */
async function install(directory) {
  if (process.env.POLYVISOR_INSTALL === 'never')
    throw new Missing('it is not set up, and POLYVISOR_INSTALL forbids it');
  if (process.arch !== 'x64') throw new Missing(`there is none for ${process.arch}`);
  removeAbandoned(directory);
  const work = `${directory}.${process.pid}.part`;
  try {
    mkdirSync(join(work, 'apt'), { recursive: true });
    say("VirtualBox: downloading it as a judge for the tests (60 MB from this system's Debian mirror, once)");
    await downloadPackages(join(work, 'apt'), 'virtualbox', NOT_NEEDED);
    const version = await unpack(work, directory);
    rmSync(join(work, 'apt'), { recursive: true });
    writeFileSync(join(work, STAMP), JSON.stringify({ recipe: RECIPE, version }));
    replace(work, directory);
    if (!(await isComplete(directory))) {
      const { output } = await capture(join(directory, 'VBoxManage'), ['--version'], { timeout: STEP_LIMIT_MS });
      throw new Missing(`it does not start: ${lastLines(output)}`);
    }
    say(`VirtualBox: version ${version} is ready in ${directory}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What killed set-ups left: their process is gone. */
function removeAbandoned(directory) {
  const parent = join(directory, '..');
  for (const name of readdirSync(parent)) {
    const [, pid] = /^virtualbox\.(\d+)\.(?:part|old)$/.exec(name) ?? [];
    if (pid !== undefined && !lives(Number(pid))) rmSync(join(parent, name), { recursive: true, force: true });
  }
}

function lives(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function replace(work, directory) {
  const old = `${directory}.${process.pid}.old`;
  try {
    renameSync(directory, old);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  renameSync(work, directory);
  rmSync(old, { recursive: true, force: true });
}

/** Unpacks into `work` what is to run from `directory`, and returns the version. */
async function unpack(work, directory) {
  const archives = join(work, 'apt/cache/archives');
  const packages = readdirSync(archives).filter((name) => name.endsWith('.deb'));
  const version = packages.map((name) => /^virtualbox_(.*)_amd64\.deb$/.exec(name)?.[1]).find(Boolean);
  if (version === undefined) throw new Missing('apt-get downloaded no virtualbox');
  const root = join(work, 'apt/root');
  for (const name of packages) await must('dpkg-deb', ['-x', join(archives, name), root]);
  renameSync(join(root, 'usr/lib/virtualbox'), join(work, 'app'));
  renameSync(join(root, 'usr/lib/x86_64-linux-gnu'), join(work, 'lib'));
  rmSync(join(work, 'app/sdk'), { recursive: true, force: true });
  await rewire(work, directory);
  return decodeURIComponent(version);
}

/** Makes the programs take the libraries beside them: those of this system are older, and theirs must not reach its own programs. */
async function rewire(work, directory) {
  const app = join(work, 'app');
  const rpath = ['--force-rpath', '--set-rpath', '$ORIGIN:$ORIGIN/..:$ORIGIN/../lib:$ORIGIN/../../lib'];
  const loader = join(directory, 'lib/ld-linux-x86-64.so.2');
  for (const name of PROGRAMS) await must('patchelf', ['--set-interpreter', loader, ...rpath, join(app, name)]);
  const libraries = ['', 'components/'].flatMap((folder) =>
    readdirSync(join(app, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.so'))
      .map((entry) => join(app, folder, entry.name)),
  );
  await must('patchelf', [...rpath, ...libraries]);
  for (const name of ['VBoxManage', 'vbox-img']) {
    const home = `'${join(directory, 'app').replaceAll("'", "'\\''")}'`;
    const script = `#!/bin/sh\nVBOX_APP_HOME=${home} exec ${home}/${name} "$@"\n`;
    writeFileSync(join(work, name), script, { mode: 0o755 });
  }
}

async function must(command, args) {
  const { code, output } = await capture(command, args, { timeout: STEP_LIMIT_MS });
  if (code === 127) throw new Missing(`${command} is missing; install the Debian package of that name`);
  if (code !== 0 || interrupted()) throw new Missing(`${command} ended with ${code}: ${lastLines(output)}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.chdir(fileURLToPath(new URL('../..', import.meta.url)));
  await ensureVirtualBox({ wanted: true });
  console.log(process.env[VARIABLE] ?? 'none');
}
