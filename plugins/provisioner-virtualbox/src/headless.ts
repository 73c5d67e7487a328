import { errorKind, type PluginContext, type PolyvisorError } from '@polyvisor/core';
import { dirname, join } from 'node:path';

/**
 * The program that runs a machine without a window, beside VBoxManage or on PATH like it. Undefined where it is in neither
 * place: then VirtualBox's service starts machines.
 */
export async function findHeadless(
  context: PluginContext,
  command: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const name = command.includes('/') ? join(dirname(command), 'VBoxHeadless') : 'VBoxHeadless';
  try {
    // Without its kernel driver it fails; what counts is that it is there.
    await context.run(name, ['--help'], {
      signal,
      timeout: 30_000,
      acceptExitCodes: Array.from({ length: 256 }, (_, code) => code),
    });
    return name;
  } catch (error) {
    signal.throwIfAborted();
    if (errorKind(error) === 'environment' && (error as PolyvisorError).code === 'command-missing') return undefined;
    throw error;
  }
}
