import type { Work } from './work.js';

/** Restarts the guest, or waits for the restart that has begun. `since`: its boot id from before. */
export async function restartAfter(
  { guest, emit, log, slowdown, signal }: Work,
  name: string,
  since: string,
): Promise<void> {
  emit({ type: 'waiting', stage: 'customise', message: `the guest to be back after ${name} restarted it` });
  await guest.restart({ since, timeout: guest.access.timeout * slowdown, signal });
  log.info(`the guest is back after ${name} restarted it`);
}
