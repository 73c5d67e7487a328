import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { output } from './process.mjs';

const SOURCE = '/usr/src/linux-source-6.1.tar.xz';
const CONFIG = fileURLToPath(new URL('../kernel/config', import.meta.url));
const LEFT_OUT = fileURLToPath(new URL('../kernel/left-out', import.meta.url));

/** Equal sources and compilers are to give equal kernels, whoever builds them, wherever and whenever. */
const ORIGIN = {
  KBUILD_BUILD_USER: 'polyvisor',
  KBUILD_BUILD_HOST: 'tiny',
  KBUILD_BUILD_TIMESTAMP: 'Thu Jan  1 00:00:00 UTC 1970',
};

/** Builds the kernel from Debian's sources, in the empty folder `work`, as `work/vmlinuz`. */
export async function buildKernel(work) {
  if (!existsSync(SOURCE)) throw new Error(`${SOURCE} is missing; install the Debian package linux-source-6.1`);
  const tree = join(work, 'source');
  mkdirSync(tree);
  await output('tar', ['-xf', SOURCE, '-C', tree, '--strip-components=1', '-X', LEFT_OUT]);
  withoutObjectChecks(join(tree, 'arch/x86/Kconfig'));
  const make = (...args) => output('nice', ['make', '-s', ...args], { cwd: tree, env: ORIGIN });
  await make('allnoconfig', `KCONFIG_ALLCONFIG=${CONFIG}`);
  refuseDropped(readFileSync(join(tree, '.config'), 'utf8'));
  await make(`-j${availableParallelism()}`, 'bzImage');
  copyFileSync(join(tree, 'arch/x86/boot/bzImage'), join(work, 'vmlinuz'));
  rmSync(tree, { recursive: true });
}

/** Without objtool, which would want a library of its own and look at every object file; nothing that we select needs it. */
function withoutObjectChecks(path) {
  const text = readFileSync(path, 'utf8');
  const changed = text.replace(/^\tselect HAVE_OBJTOOL\b.*\n/m, '');
  if (changed === text) throw new Error(`${path} selects no HAVE_OBJTOOL; is this another version of the kernel?`);
  writeFileSync(path, changed);
}

/** The kernel's rules drop silently what they do not allow. */
function refuseDropped(result) {
  const there = new Set(result.split('\n'));
  const wanted = readFileSync(CONFIG, 'utf8').split('\n').filter((line) => /^CONFIG_|^# CONFIG_/.test(line));
  const dropped = wanted.filter((line) =>
    line.startsWith('#') ? result.includes(`\n${line.split(' ')[1]}=`) : !there.has(line),
  );
  if (dropped.length > 0) throw new Error(`the kernel does not take these lines of kernel/config: ${dropped.join(', ')}`);
}
