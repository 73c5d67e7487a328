import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PluginContext } from '@polyvisor/core';

/** Where QEMU writes its process number, in the directory of its machine. */
export const PID_FILE = 'qemu.pid';

/** How far below the directory of a run its machines' directories are, at most. */
const DEPTH = 4;

/** How long a killed process may take to be gone, in milliseconds. */
const GONE_LIMIT = 5000;

/**
 * Kills what a run left: processes that a pid file below `workDir` names, if their own command line names that very file. A number
 * that meanwhile belongs to something else is left alone.
 */
export async function discardMachines(context: PluginContext, workDir: string, signal: AbortSignal): Promise<void> {
  for (const file of await pidFiles(workDir, DEPTH)) {
    signal.throwIfAborted();
    const pid = Number((await readFile(file, 'utf8').catch(() => '')).trim());
    if (!Number.isSafeInteger(pid) || pid <= 1 || !(await isMachine(context, pid, file, signal))) continue;
    context.log.info(`ending QEMU ${pid}, which an earlier run left`);
    await kill(context, pid, file, signal);
  }
}

/** Links are not followed: what is behind them is not of this run. */
async function pidFiles(directory: string, depth: number): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isFile() && entry.name === PID_FILE) found.push(path);
    if (entry.isDirectory() && depth > 0) found.push(...(await pidFiles(path, depth - 1)));
  }
  return found;
}

async function isMachine(context: PluginContext, pid: number, file: string, signal: AbortSignal): Promise<boolean> {
  const args = await commandLine(context, pid, signal);
  const at = args.indexOf('-pidfile');
  return at >= 0 && args[at + 1] === file;
}

/** Empty when there is no such process. */
async function commandLine(context: PluginContext, pid: number, signal: AbortSignal): Promise<readonly string[]> {
  if (process.platform === 'linux') return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  const { stdout } = await context.run('ps', ['-ww', '-o', 'args=', '-p', String(pid)], {
    signal,
    acceptExitCodes: [0, 1],
  });
  return stdout.trim().split(' ');
}

async function kill(context: PluginContext, pid: number, file: string, signal: AbortSignal): Promise<void> {
  process.kill(pid, 'SIGKILL');
  const deadline = performance.now() + GONE_LIMIT;
  while ((await isMachine(context, pid, file, signal)) && performance.now() < deadline)
    await delay(20, undefined, { signal });
}
