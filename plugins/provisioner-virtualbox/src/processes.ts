import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Home } from './home.js';

/** A process of VirtualBox that belongs to one home. */
export interface OwnProcess {
  readonly pid: number;
  readonly kind: 'machine' | 'service';
  /** When it was started, in clock ticks since the computer was: a number that is given again comes with another one. */
  readonly started: string;
}

/** How long one may take to end, in milliseconds, before it is killed. */
const PATIENCE = 5000;
const POLL = 20;

/**
 * What runs for this home: the machine by its UUID, which stands in its arguments, and the service by the socket in its
 * environment. Where there is no /proc nothing is found, and what runs is left to end by itself.
 */
export async function findProcesses(home: Pick<Home, 'socket' | 'uuid'>): Promise<readonly OwnProcess[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => recognise(pid, home)));
  return found.filter((process) => process !== undefined);
}

/** Sends the signal, and SIGKILL to those that are still there after a while. Resolves when none is left. */
export async function endProcesses(processes: readonly OwnProcess[], signal: NodeJS.Signals): Promise<void> {
  let left = await send(processes, signal);
  for (let waited = 0; left.length > 0 && waited < PATIENCE; waited += POLL) {
    await sleep(POLL);
    left = await living(left);
  }
  await send(left, 'SIGKILL');
}

async function send(processes: readonly OwnProcess[], signal: NodeJS.Signals): Promise<readonly OwnProcess[]> {
  const alive = await living(processes);
  for (const { pid } of alive) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile, or belongs to somebody else.
    }
  }
  return alive;
}

async function recognise(
  pid: number,
  { socket, uuid }: Pick<Home, 'socket' | 'uuid'>,
): Promise<OwnProcess | undefined> {
  const args = (await read(pid, 'cmdline')).split('\0');
  const name = args[0]?.split('/').at(-1) ?? '';
  const isMachine = name === 'VBoxHeadless' && args.includes(uuid);
  const isService =
    name === 'VBoxSVC' && (await read(pid, 'environ')).split('\0').includes(`VBOX_IPC_SOCKETID=${socket}`);
  if (!isMachine && !isService) return undefined;
  const started = await startOf(pid);
  return started === undefined ? undefined : { pid, kind: isMachine ? 'machine' : 'service', started };
}

async function living(processes: readonly OwnProcess[]): Promise<readonly OwnProcess[]> {
  const starts = await Promise.all(processes.map(({ pid }) => startOf(pid)));
  return processes.filter(({ started }, index) => starts[index] === started);
}

/** Undefined when it has ended, which it has too when only nobody has asked for its exit code yet. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await read(pid, 'stat');
  // After the name in parentheses: fields 3 (state) and on, of which 22 is the start (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

async function read(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '');
}
