import { asRoot, type Work } from './work.js';

/** In milliseconds. cloud-init waits two minutes for a network on its own. */
const LIMIT = 300_000;

/** cloud-init lets people in before it has finished: it may still install packages, make users and write files. */
const WAIT = `
command -v cloud-init >/dev/null || exit 0
[ ! -e /etc/cloud/cloud-init.disabled ] || exit 0
cloud-init status --wait >/dev/null 2>&1 || code=$?
cloud-init status 2>/dev/null | head -n 1
exit "\${code:-0}"
`;

export async function awaitFirstBoot(work: Work): Promise<void> {
  const { emit, log, signal } = work;
  emit({ type: 'waiting', stage: 'first-boot', message: 'cloud-init, if the guest has it' });
  try {
    const { exitCode, stdout } = await asRoot(work, 'waiting for cloud-init', WAIT, {
      timeout: LIMIT,
      acceptExitCodes: 'any',
    });
    // What it could not do shows in what comes; the guest itself works well enough to be asked.
    if (exitCode !== 0)
      log.warn(`cloud-init did not end well in the guest (${stdout.trim() || `exit code ${exitCode}`})`);
  } catch (error) {
    signal.throwIfAborted();
    if ((error as { code?: string }).code !== 'guest-command-timeout') throw error;
    log.warn(`cloud-init still runs in the guest: ${(error as Error).message}`);
  }
}
