import { DefinitionError, GuestError, type PolyvisorError } from '@polyvisor/core';
import { pause } from '../ssh/pause.js';
import { LOCKED, PACKAGE_MANAGERS, type PackageManager, UNKNOWN_PACKAGE } from './package-managers.js';
import { asRoot, tell, type Work } from './work.js';

/** For lists and for packages, in milliseconds. */
const LIMIT = 3_600_000;

/** How often a lock that somebody else holds is tried again, and after how many milliseconds. */
const LOCK_TRIES = 60;
const LOCK_INTERVAL = 5000;

/** Installs what the definition names, and what its users and its locale need. Asks nothing of a guest that needs nothing. */
export async function installPackages(work: Work): Promise<void> {
  const wanted = await wantedPackages(work);
  if (wanted.length === 0) return;
  const manager = await findManager(work);
  if (manager === undefined) {
    throw new GuestError(
      'package-manager-missing',
      `packages are wanted (${wanted.join(', ')}), and the guest has none of ${PACKAGE_MANAGERS.map(({ command }) => command).join(', ')}`,
      { hint: 'install them in a script of the definition, or let the installer do it' },
    );
  }
  if (manager.update !== undefined) await runManager(work, manager, 'updating the package lists', manager.update, []);
  await runManager(work, manager, 'installing packages', manager.install, wanted);
}

async function wantedPackages(work: Work): Promise<string[]> {
  const { packages, users } = work.appliance;
  const needsSudo = users.some(({ sudo, name }) => sudo && name !== 'root');
  if (!needsSudo || packages.includes('sudo')) return [...new Set(packages)];
  const { exitCode } = await asRoot(work, 'looking for sudo', 'command -v sudo >/dev/null', { acceptExitCodes: 'any' });
  return [...new Set([...(exitCode === 0 ? [] : ['sudo']), ...packages])];
}

async function findManager(work: Work): Promise<PackageManager | undefined> {
  const { stdout } = await asRoot(
    work,
    'looking for a package manager',
    'for tool; do if command -v "$tool" >/dev/null; then echo "$tool"; exit 0; fi; done',
    { arguments: PACKAGE_MANAGERS.map(({ command }) => command) },
  );
  return PACKAGE_MANAGERS.find(({ command }) => command === stdout.trim());
}

async function runManager(
  work: Work,
  { acceptExitCodes = [0] }: PackageManager,
  purpose: string,
  script: string,
  packages: readonly string[],
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { exitCode, stdout, stderr } = await asRoot(work, purpose, script, {
      arguments: packages,
      timeout: LIMIT,
      acceptExitCodes: 'any',
      onLine: (line) => tell(work, 'packages', purpose, line),
    });
    const unknown = UNKNOWN_PACKAGE.exec(`${stdout}\n${stderr}`)
      ?.slice(1)
      .find((name) => name !== undefined);
    if (unknown === undefined && acceptExitCodes.includes(exitCode)) return;
    if (exitCode === 0 || !LOCKED.test(stderr + stdout) || tries === LOCK_TRIES) {
      throw failure(purpose, exitCode, unknown, stdout + stderr);
    }
    work.emit({ type: 'waiting', stage: 'packages', message: 'something else installs packages in the guest' });
    await pause(LOCK_INTERVAL, work.signal);
  }
}

function failure(purpose: string, exitCode: number, unknown: string | undefined, output: string): PolyvisorError {
  if (unknown !== undefined) {
    return new DefinitionError('package-unknown', `${unknown.trim()}: the guest's repositories have no such package`, {
      hint: 'check its spelling under `packages`, or add the repository that has it in the answers',
    });
  }
  if (/No space left on device/.test(output)) {
    return new GuestError('guest-disk-full', "there is no room for the packages on the guest's disk", {
      hint: 'give the appliance a larger disk, or the partition more of it',
    });
  }
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return new GuestError('packages-failed', `${purpose} failed in the guest with exit code ${exitCode}`, {
    transcript: lines.slice(-20).join('\n'),
    hint: 'the last lines above say why; can the guest reach its repositories?',
  });
}
