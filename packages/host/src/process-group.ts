import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often a group that was told to end is looked at, in milliseconds. */
const POLL = 20;

/** How long a killed group may take to vanish: what sits in an uninterruptible system call cannot be hurried. */
const AFTER_KILL = 5000;

/** Sends a signal to every process of a group. A group that is gone, or that is not ours, is no error. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** SIGTERM, then SIGKILL after `grace` milliseconds to what is left. Resolves when no process of the group runs. */
export async function endGroup(group: number, grace: number): Promise<void> {
  signalGroup(group, 'SIGTERM');
  if (await groupEnds(group, grace)) return;
  signalGroup(group, 'SIGKILL');
  await groupEnds(group, AFTER_KILL);
}

async function groupEnds(group: number, within: number): Promise<boolean> {
  const deadline = performance.now() + within;
  while (groupIsAlive(group)) {
    if (performance.now() >= deadline) return false;
    await sleep(POLL);
  }
  return true;
}

export function groupIsAlive(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return hasLivingMember(group);
}

/**
 * Ended processes that nobody waits for stay in their group: in a container whose first process reaps no orphans, for
 * ever. Only /proc tells them from living ones; without it every member counts as living.
 */
function hasLivingMember(group: number): boolean {
  let processes: string[];
  try {
    processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return true;
  }
  return processes.some((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // After the command in parentheses: state, parent, process group (proc(5), fields 3 to 5).
      const [state, , member] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(member) === group && state !== 'Z' && state !== 'X';
    } catch {
      return false;
    }
  });
}
