import { join } from 'node:path';
import { homedir } from 'node:os';

/** Kept between runs: downloads, and the logs of builds that failed. */
export function cacheDirectory(env: NodeJS.ProcessEnv): string {
  const base = env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache');
  return env['POLYVISOR_CACHE'] || join(base, 'polyvisor');
}

/**
 * For what a run needs while it goes on, which can be gigabytes: /var/tmp is on a disk where /tmp may be memory, and
 * unlike a home directory the users of a user namespace can enter it.
 */
export function workRoot(env: NodeJS.ProcessEnv): string {
  return env['TMPDIR'] || '/var/tmp';
}
