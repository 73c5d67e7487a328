import { EnvironmentProblem, say } from './messages.mjs';
import { capture, interrupted } from './process.mjs';
import { workspaces } from './workspaces.mjs';

const LOCK_MESSAGE = /could not get lock|unable to (?:lock|acquire)|is held by process/i;
const LOCK_PATIENCE_MS = 10 * 60_000;
const LOCK_RETRY_MS = 2_000;
const STILL_WAITING_MS = 30_000;

/** The parts of apt's options that make it neither ask, nor give up at the first lost connection or busy lock. */
const APT_OPTIONS = ['-y', '-qq', '-o', 'Acquire::Retries=3', '-o', 'DPkg::Lock::Timeout=600', '-o', 'Dpkg::Use-Pty=0'];
const APT_ENVIRONMENT = [
  'DEBIAN_FRONTEND=noninteractive',
  'APT_LISTCHANGES_FRONTEND=none',
  'NEEDRESTART_SUSPEND=1',
  'LC_ALL=C.UTF-8',
];

/**
 * Installs the Debian packages that the workspaces declare under `polyvisor.debianPackages`, as far as they are missing.
 * `purposes` are the keys to look under: `run`, `test`.
 */
export async function ensureDebianPackages(purposes) {
  const wanted = declaredPackages(purposes);
  if (wanted.length === 0) return;
  if (!(await isDebian())) {
    say(
      `this is not a Debian system; what is needed is in these packages of Debian, under whatever name it has here: ${wanted.join(' ')}`,
    );
    return;
  }
  const missing = await notInstalled(wanted);
  if (missing.length === 0) return;
  const prefix = await rightsPrefix();
  if (prefix === undefined) {
    throw new EnvironmentProblem(
      `These Debian packages are missing, and installing them needs root's rights. Run this, then the same command again:\n\n` +
        `  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing.join(' ')}\n`,
    );
  }
  say(`Debian packages: installing ${missing.join(' ')} (apt-get, a minute or two)`);
  await install(prefix, missing);
}

export function declaredPackages(purposes, root = '.') {
  const names = workspaces(root).flatMap(({ manifest }) =>
    purposes.flatMap((purpose) => manifest.polyvisor?.debianPackages?.[purpose] ?? []),
  );
  return [...new Set(names)].sort();
}

async function isDebian() {
  return (
    (await capture('dpkg-query', ['--version'])).code === 0 && (await capture('apt-get', ['--version'])).code === 0
  );
}

async function notInstalled(names) {
  // Unknown names make it fail, and are then missing from what it prints, which is all that counts here.
  const { output } = await capture('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...names]);
  const installed = new Set(
    output
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return names.filter((name) => !installed.has(name));
}

/** What to put before a command to run it as root, or undefined where that is not allowed. */
async function rightsPrefix() {
  if (process.env.POLYVISOR_INSTALL === 'never') return undefined;
  if (process.getuid() === 0) return [];
  return (await capture('sudo', ['-n', 'true'])).code === 0 ? ['sudo', '-n'] : undefined;
}

async function install(prefix, names) {
  const installation = [...APT_OPTIONS, 'install', '--no-install-recommends', ...names];
  // Package lists may be absent (a fresh container) or too old for the mirror; they are fetched only then.
  const known = (await capture('apt-get', ['-s', ...installation])).code === 0;
  let result = known ? await apt(prefix, installation) : undefined;
  if (result?.code === 0) return;
  say('Debian packages: fetching the lists of packages (apt-get update)');
  const update = await apt(prefix, [...APT_OPTIONS, 'update']);
  result = await apt(prefix, installation);
  if (result.code === 0) return;
  const output = `${update.code === 0 ? '' : update.output}${result.output}`.trim().split('\n').slice(-12).join('\n  ');
  throw new EnvironmentProblem(
    `apt-get could not install ${names.join(' ')}:\n  ${output}\n` +
      `Mend that, or install them yourself, then run the same command again:\n\n` +
      `  apt-get update && apt-get install -y --no-install-recommends ${names.join(' ')}\n`,
  );
}

/** Runs apt-get as root. Waits while another one holds its locks, for not all of them are covered by its own time limit. */
async function apt(prefix, args) {
  const started = Date.now();
  const ticker = setInterval(
    () => say(`Debian packages: apt-get still works (${Math.round((Date.now() - started) / 1000)} s)`),
    STILL_WAITING_MS,
  );
  try {
    for (;;) {
      const [command, ...rest] = [...prefix, 'env', ...APT_ENVIRONMENT, 'apt-get', ...args];
      const result = await capture(command, rest);
      const locked = result.code !== 0 && LOCK_MESSAGE.test(result.output);
      if (!locked || interrupted() || Date.now() - started > LOCK_PATIENCE_MS) return result;
      say('Debian packages: another package manager is at work; waiting for it');
      await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
    }
  } finally {
    clearInterval(ticker);
  }
}
