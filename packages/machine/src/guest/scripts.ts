import { type Appliance, GuestError, type PolyvisorError, type Script } from '@polyvisor/core';
import { restartAfter } from './restart-after.js';
import { runScript } from './run-script.js';
import { tell, type Work } from './work.js';

/** With this exit code a script asks for a restart of the guest before the next one; it is no failure. */
export const REBOOT_EXIT_CODE = 194;

/** What scripts learn about the appliance, besides their own variables. */
export function scriptEnvironment(appliance: Appliance, script: Script): Record<string, string> {
  return {
    POLYVISOR_NAME: appliance.name,
    POLYVISOR_VERSION: appliance.version,
    POLYVISOR_ARCHITECTURE: appliance.architecture,
    ...script.environment,
  };
}

/**
 * Runs the definition's scripts in order, as root. After one with `reboot`, and after exit code 194, the guest restarts: on its own
 * or because we say so. Then, and only then, may the connection break in a script.
 */
export async function runScripts(work: Work): Promise<void> {
  for (const script of work.appliance.scripts) {
    const { name, path, timeout, reboot = false } = script;
    let bootId: string | undefined;
    let restart = reboot;
    try {
      const { exitCode } = await runScript(work, {
        name,
        path,
        environment: scriptEnvironment(work.appliance, script),
        timeout: timeout * work.slowdown,
        acceptExitCodes: [0, REBOOT_EXIT_CODE],
        onBootId: (id) => (bootId = id),
        onLine: (line) => tell(work, 'customise', name, line),
      });
      restart ||= exitCode === REBOOT_EXIT_CODE;
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
      // Before the script began there was nothing that could restart the guest.
      if (!reboot || bootId === undefined) throw disconnected(name, error as GuestError);
    }
    if (restart) await restartAfter(work, name, bootId ?? '');
  }
}

function isConnectionLost(error: unknown): boolean {
  return (error as Partial<PolyvisorError>).code === 'ssh-connection-lost';
}

function disconnected(name: string, error: GuestError): GuestError {
  return new GuestError('script-disconnected', `the connection broke in the script ${name}: ${error.message}`, {
    hint: `a script that restarts the guest has to say so: end it with \`exit ${REBOOT_EXIT_CODE}\` instead of restarting, or set \`reboot: true\``,
    transcript: error.transcript,
    cause: error,
  });
}
