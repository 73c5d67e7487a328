import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PackageCache } from './cache.js';
import { type AptSource, sourceLine } from './mirror.js';
import type { Sandbox } from './sandbox.js';

/** For apt, in seconds: a mirror that does not answer is given up within a minute. */
const ANSWER_TIMEOUT = 10;

/** How apt works for us, whatever is set on this machine. */
export const APT_OPTIONS: readonly string[] = [
  // apt's own user could not read below directories of ours; signatures are checked all the same.
  'APT::Sandbox::User "root"',
  `Acquire::http::Timeout "${ANSWER_TIMEOUT}"`,
  `Acquire::https::Timeout "${ANSWER_TIMEOUT}"`,
  'Acquire::Retries "1"',
  'Acquire::Languages "none"',
  'APT::Keep-Downloaded-Packages "true"',
];

/** The proxies of this machine's apt: without them its mirrors may be out of reach. */
export async function aptProxies(sandbox: Sandbox): Promise<string[]> {
  const { stdout } = await sandbox.run('apt-config', ['dump', '--no-empty', '--format', '%f "%v"%n']);
  return stdout.split('\n').filter((line) => /^Acquire::https?::Proxy(?:::\S+)? ".+"$/i.test(line));
}

/** Brings the cache's lists up to date, by this machine's apt with its trusted keys and nothing else of its settings. */
export async function updateLists(
  sandbox: Sandbox,
  workDir: string,
  { lists }: PackageCache,
  sources: readonly AptSource[],
  options: readonly string[],
  onLine: (line: string) => void,
): Promise<void> {
  const [list, configuration] = [join(workDir, 'sources.list'), join(workDir, 'apt.conf')];
  await writeFile(list, `${sources.map(sourceLine).join('\n')}\n`);
  const settings = [
    'Dir::Etc::Main "/dev/null"',
    'Dir::Etc::Parts "/dev/null"',
    `Dir::Etc::SourceList "${list}"`,
    'Dir::Etc::SourceParts "/dev/null"',
    `Dir::State::Lists "${lists}"`,
    `Dir::Cache "${join(workDir, 'apt-cache')}"`,
    'Dir::State::Status "/dev/null"',
    'APT::Architecture "amd64"',
    'APT::Architectures "amd64"',
    ...options,
  ];
  await writeFile(configuration, settings.map((setting) => `${setting};\n`).join(''));
  await sandbox.run('apt-get', ['update', '--error-on=any'], { onLine, env: { APT_CONFIG: configuration } });
}
