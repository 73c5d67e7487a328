import { errorKind, type PluginContext, type PolyvisorError, type Probe } from '@polyvisor/core';
import { findEngine } from './engines.js';
import { findHeadless } from './headless.js';
import { supportedVersion } from './hypervisor.js';
import { Manage } from './manage.js';

/** Starts a machine that has nothing and ends it: only that tells whether VirtualBox can. */
export async function probeVirtualBox(context: PluginContext, command: string, signal: AbortSignal): Promise<Probe> {
  try {
    const manage = new Manage(context, command);
    const version = await supportedVersion(manage, signal);
    const headless = await findHeadless(context, command, signal);
    const found = await findEngine(manage, version, 'auto', headless, signal);
    const notes = found.slowdown === 1 ? [] : [`machines run in ${found.description}: about 100 times slower`];
    return { usable: true, version: version.text, notes };
  } catch (error) {
    signal.throwIfAborted();
    if (errorKind(error) !== 'environment') throw error;
    const { code, message, hint } = error as PolyvisorError;
    if (code !== 'command-missing')
      return { usable: false, reason: message, hint: hint ?? 'try `VBoxManage --version` by hand' };
    return {
      usable: false,
      reason: `the program ${command} is not on PATH`,
      hint: 'install VirtualBox 6.1 or newer (virtualbox.org, or the package virtualbox of your distribution), or name VBoxManage with the option vboxmanage',
    };
  }
}
