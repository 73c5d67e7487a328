import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture } from './process.mjs';

const DOWNLOAD_LIMIT_MS = 5 * 60_000;

/** Why a program that only the tests want is not there; nothing else depends on it. */
export class Missing extends Error {}

/**
 * Downloads a package of Debian's sid, with what it needs but for `installed` (names to versions), to `cache/archives` below
 * the folder `apt`: by an apt with directories of its own, which needs no root and of which the system's apt knows nothing.
 */
export async function downloadPackages(apt, name, installed) {
  const mirror = await debianMirror();
  for (const folder of ['lists/partial', 'cache/archives/partial', 'parts', 'log']) {
    mkdirSync(join(apt, folder), { recursive: true });
  }
  const status = Object.entries(installed).map(
    ([stand, version]) =>
      `Package: ${stand}\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: allowed\nVersion: ${version}\n` +
      'Maintainer: none\nDescription: stand-in\n\n',
  );
  writeFileSync(join(apt, 'status'), status.join(''));
  writeFileSync(join(apt, 'sources.list'), `deb [arch=amd64${signedBy()}] ${mirror} sid main contrib\n`);
  const settings = {
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': join(apt, 'parts'),
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': join(apt, 'parts'),
    'Dir::State': apt,
    'Dir::State::status': join(apt, 'status'),
    'Dir::State::Lists': join(apt, 'lists'),
    'Dir::Cache': join(apt, 'cache'),
    'Dir::Log': join(apt, 'log'),
    'Debug::NoLocking': 'true',
    'APT::Architecture': 'amd64',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': process.getuid() === 0 ? 'root' : '',
    // A mirror that stands still serves a list that has run out; its signature is checked all the same.
    'Acquire::Check-Valid-Until': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
  };
  writeFileSync(
    join(apt, 'apt.conf'),
    // The last lines take away what the system wants run after its own apt.
    Object.entries(settings)
      .map(([key, value]) => `${key} ${JSON.stringify(value)};\n`)
      .join('') +
      '#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n',
  );
  const step = async (...args) => {
    const command = ['-c', join(apt, 'apt.conf'), '-q', '-y', ...args];
    const env = { ...process.env, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' };
    const { code, output } = await capture('apt-get', command, { timeout: DOWNLOAD_LIMIT_MS, env });
    if (code !== 0) throw new Missing(`apt-get ${args.join(' ')} ended with ${code}: ${lastLines(output)}`);
  };
  await step('update');
  await step('--download-only', 'install', name);
}

/** The mirror that this machine's own apt uses, whatever the notation of its sources. */
async function debianMirror() {
  const { code, output } = await capture('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI) $(CODENAME) $(RELEASE) $(COMPONENT)',
    'Created-By: Packages',
  ]);
  if (code !== 0) throw new Missing('this is not a Debian system');
  const lines = output.split('\n').map((line) => line.split(' '));
  const main = lines.find(
    ([uri, codename = '', release = '', component]) =>
      /^https?:/.test(uri) && component === 'main' && !/[-/]/.test(codename) && !/[-/]/.test(release),
  );
  if (main === undefined) throw new Missing('the sources of apt name no Debian mirror');
  return main[0];
}

/** Debian's keyring where it is, else whatever apt trusts. */
function signedBy() {
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  try {
    accessSync(keyring, constants.R_OK);
    return ` signed-by=${keyring}`;
  } catch {
    return '';
  }
}

/** The end of what a program wrote, for a message. */
export function lastLines(output) {
  return output.trim().split('\n').slice(-3).join(' | ');
}
