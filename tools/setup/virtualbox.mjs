import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from './messages.mjs';
import { capture, interrupted } from './process.mjs';
import { downloadPackages, lastLines, Missing } from './sid-packages.mjs';
import { workspaces } from './workspaces.mjs';

/*
 * The VirtualBox of the tests: images are judged with it, and machines run in it, without root and without its kernel driver,
 * by interpretation at about 8 million instructions a second.
 *
 * `npm test` does all this; by hand, `node tools/setup/virtualbox.mjs` prints the path of VBoxManage (`VBoxHeadless` lies
 * beside it). Give what you run a `VBOX_USER_HOME` and a `VBOX_IPC_SOCKETID` of its own, as `startVirtualBox()` of
 * @polyvisor/testkit does. A machine starts after `modifyvm NAME --vm-execution-engine interpreter`, or, in all of a home, after
 * `setextradata global VBoxInternal/HM/FallbackToIEM 1`. POLYVISOR_VBOXMANAGE names another VBoxManage to use.
 */

/** Tells the tests where VBoxManage is; @polyvisor/testkit looks here first. */
const VARIABLE = 'POLYVISOR_VBOXMANAGE';

/** Counts the ways of setting it up. Each has a directory of its own, so that older checkouts keep what they know. */
const RECIPE = 2;
const STAMP = 'polyvisor.json';

/** What an older recipe made goes when nobody has used it for so long. */
const UNUSED_LIMIT_MS = 7 * 24 * 60 * 60_000;

const STEP_LIMIT_MS = 60_000;

/**
 * Packages that apt is told are installed already: kernel modules, Python and desktop libraries, which neither disks nor
 * machines without a window touch. It makes 50 MB out of 150.
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

/** What users call. */
const COMMANDS = ['VBoxManage', 'VBoxHeadless', 'vbox-img'];

/** Stands for functions of VirtualBox's own that insist on the place where Debian puts it. */
const PATHS = 'libpolyvisor-paths.so';

/**
 * Puts VirtualBox's command line where the tests find it, for the workspaces that declare `"programs": ["virtualbox"]`. It is
 * Debian's own package from sid, which brings its own C library, unpacked into the user's cache: nothing of the system
 * changes, no rights and no kernel module are needed. Without it the tests that want it say so.
 */
export async function ensureVirtualBox({ wanted = isDeclared() } = {}) {
  if (!wanted || process.env[VARIABLE]) return;
  const directory = join(cacheDirectory(), `virtualbox-${RECIPE}`);
  try {
    if (!(await isComplete(directory))) await install(directory);
    markAsUsed(directory);
    process.env[VARIABLE] = join(directory, 'VBoxManage');
  } catch (error) {
    // A full disk or a folder that is not ours is no reason to give up the other tests either.
    if (!(error instanceof Missing) && error.syscall === undefined) throw error;
    say(
      `VirtualBox: ${error.message}; what it would judge or run is skipped${process.env.CI ? ', which CI takes for a failure' : ''}`,
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
  return (await firstFailure(directory)) === undefined;
}

/** What a command says that does not start; undefined when all do. */
async function firstFailure(directory) {
  for (const [name, option] of [
    ['VBoxManage', '--version'],
    ['VBoxHeadless', '--help'],
  ]) {
    const { code, output } = await capture(join(directory, name), [option], { timeout: STEP_LIMIT_MS });
    if (code !== 0) return `${name} does not start: ${lastLines(output)}`;
  }
  return undefined;
}

function markAsUsed(directory) {
  utimesSync(join(directory, STAMP), new Date(), new Date());
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
    say("VirtualBox: downloading it for the tests (60 MB from this system's Debian mirror, once)");
    await downloadPackages(join(work, 'apt'), 'virtualbox', NOT_NEEDED);
    const version = await unpack(work, directory);
    rmSync(join(work, 'apt'), { recursive: true });
    writeFileSync(join(work, STAMP), JSON.stringify({ recipe: RECIPE, version }));
    replace(work, directory);
    const failure = await firstFailure(directory);
    if (failure !== undefined) throw new Missing(failure);
    say(`VirtualBox: version ${version} is ready in ${directory}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What killed set-ups left, whose process is gone, and what older recipes made. */
function removeAbandoned(directory) {
  const parent = join(directory, '..');
  for (const name of readdirSync(parent)) {
    const match = /^virtualbox(?:-(\d+))?(?:\.(\d+)\.(?:part|old))?$/.exec(name);
    if (match === null) continue;
    const [, recipe = '0', pid] = match;
    const path = join(parent, name);
    const abandoned = pid === undefined ? Number(recipe) < RECIPE && isUnused(path) : !lives(Number(pid));
    if (abandoned) rmSync(path, { recursive: true, force: true });
  }
}

function isUnused(directory) {
  const used = statSync(join(directory, STAMP), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Date.now() - used > UNUSED_LIMIT_MS;
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
  for (const name of PROGRAMS) {
    // Two steps: together, the search path gets lost.
    await must('patchelf', ['--add-needed', PATHS, join(app, name)]);
    await must('patchelf', ['--set-interpreter', loader, ...rpath, join(app, name)]);
  }
  const libraries = ['', 'components/'].flatMap((folder) =>
    readdirSync(join(app, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.so'))
      .map((entry) => join(app, folder, entry.name)),
  );
  await must('patchelf', [...rpath, ...libraries]);
  await compile(app, directory, loader);
  for (const name of COMMANDS) {
    const home = `'${join(directory, 'app').replaceAll("'", "'\\''")}'`;
    const script = `#!/bin/sh\nVBOX_APP_HOME=${home} exec ${home}/${name} "$@"\n`;
    writeFileSync(join(work, name), script, { mode: 0o755 });
  }
}

/** Our own parts. VirtualBox's libraries want a newer C library than the compiler's, which is none of its business. */
async function compile(app, directory, loader) {
  const sources = fileURLToPath(new URL('./virtualbox', import.meta.url));
  const place = `-DAPP=${JSON.stringify(join(directory, 'app'))}`;
  const paths = join(app, PATHS);
  await must('gcc', ['-O2', '-Wall', '-Wextra', '-shared', '-fPIC', place, '-o', paths, join(sources, 'paths.c')]);
  rmSync(join(app, 'VBoxHeadless'));
  const linker = ['--no-as-needed', '--unresolved-symbols=ignore-in-shared-libs', '--disable-new-dtags'];
  const options = [...linker, `--dynamic-linker=${loader}`, '-rpath=$ORIGIN:$ORIGIN/../lib'].map(
    (option) => `-Wl,${option}`,
  );
  const libraries = [PATHS, 'VBoxRT.so', 'VBoxHeadless.so'].map((name) => `-l:${name}`);
  const headless = ['-o', join(app, 'VBoxHeadless'), join(sources, 'headless.c')];
  await must('gcc', ['-O2', '-Wall', '-Wextra', ...options, ...headless, `-L${app}`, ...libraries]);
}

async function must(command, args) {
  const { code, output } = await capture(command, args, { timeout: STEP_LIMIT_MS });
  if (code === 127) throw new Missing(`${command} is missing; install the Debian packages patchelf, gcc and libc6-dev`);
  if (code !== 0 || interrupted()) throw new Missing(`${command} ended with ${code}: ${lastLines(output)}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.chdir(fileURLToPath(new URL('../..', import.meta.url)));
  await ensureVirtualBox({ wanted: true });
  console.log(process.env[VARIABLE] ?? 'none');
}
