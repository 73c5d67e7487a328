import { EnvironmentError } from '@polyvisor/core';
import { complaintOf, isPassing, lastLines } from './complaint.js';
import { explain } from './explain.js';
import type { Home } from './home.js';
import type { MachineLog } from './machine-log.js';
import type { Manage } from './manage.js';
import { endProcesses, findProcesses } from './processes.js';
import { pause } from './time.js';

/** The process of a machine, from its start to its end. */
export interface Running {
  /** Settles when it has ended; `killed` when a signal ended it. Never rejects. */
  readonly ended: Promise<{ readonly killed: boolean }>;
  /** What it said last. */
  words(): string;
  kill(): Promise<void>;
}

/** What a machine is started with. */
export interface Launcher {
  readonly manage: Manage;
  readonly home: Home;
  readonly log: MachineLog;
  /** VirtualBox's program that runs a machine without a window; absent: its service starts that. */
  readonly headless: string | undefined;
}

/** States of machines without a process. */
const STOPPED = new Set(['poweroff', 'aborted', 'aborted-saved', 'saved', 'teleported']);
/** States on the way to others. */
const STARTING = new Set(['', 'starting', 'restoring', 'settingup']);

const POLL = 100;
/** How often the state of a machine is asked that is no child of ours, in milliseconds. */
const SLOW_POLL = 500;
const WORDS_KEPT = 4096;
/** How long a machine that was just changed may stay locked, in milliseconds. */
const LOCKED_LIMIT = 10_000;

/** Whether a state is one of a machine that neither runs nor is about to. */
export function isStopped(state: string): boolean {
  return STOPPED.has(state);
}

/** Starts a machine. Resolves when it runs the guest; rejects with `EnvironmentError` and why when it does not get there. */
export async function launch(launcher: Launcher, signal: AbortSignal): Promise<Running> {
  const deadline = performance.now() + LOCKED_LIMIT;
  for (;;) {
    const running =
      launcher.headless === undefined
        ? await startThroughService(launcher, signal)
        : startChild(launcher, launcher.headless);
    try {
      if (await runsTheGuest(launcher, running, signal)) return running;
    } catch (error) {
      await running.kill();
      throw error;
    }
    const words = running.words();
    if (!isPassing(complaintOf(words)) || performance.now() > deadline) throw await failure(launcher, words);
    await pause(POLL, signal);
  }
}

/** As our own child: its end is noticed at once, and it ends with us, however we end. */
function startChild({ manage, home }: Launcher, headless: string): Running {
  const { context, environment } = manage;
  const command = context.start(headless, ['--startvm', home.uuid, '--vrde', 'off'], { env: environment });
  let words = '';
  for (const stream of [command.stdout, command.stderr]) {
    stream.on('data', (bytes: Buffer) => (words = (words + bytes.toString()).slice(-WORDS_KEPT)));
  }
  command.stdin.end();
  return {
    ended: command.exited.then(({ signal }) => ({ killed: signal !== null })),
    words: () => words,
    kill: () => command.stop(0),
  };
}

async function startThroughService({ manage, home }: Launcher, signal: AbortSignal): Promise<Running> {
  const close = new AbortController();
  await manage.run('start the machine', ['startvm', home.uuid, '--type', 'headless'], signal);
  return {
    ended: hasStopped(manage, home, close.signal),
    words: () => '',
    kill: async () => {
      const processes = await findProcesses(home);
      await endProcesses(
        processes.filter(({ kind }) => kind === 'machine'),
        'SIGKILL',
      );
      close.abort();
    },
  };
}

async function hasStopped(manage: Manage, home: Home, signal: AbortSignal): Promise<{ readonly killed: boolean }> {
  for (;;) {
    try {
      await pause(SLOW_POLL, signal);
      const state = await manage.state(home.uuid, signal);
      if (isStopped(state)) return { killed: state.startsWith('aborted') };
    } catch {
      return { killed: true };
    }
  }
}

/** False when it ended before, without having run. */
async function runsTheGuest({ manage, home, log }: Launcher, running: Running, signal: AbortSignal): Promise<boolean> {
  let hasEnded = false;
  void running.ended.then(() => (hasEnded = true));
  for (;;) {
    if (hasEnded) return !/\berror\b|-1908/i.test(running.words()) && (await log.size()) > 0;
    const state = await manage.state(home.uuid, signal);
    if (!STARTING.has(state) && !isStopped(state)) return true;
    await pause(POLL, signal);
  }
}

/** VirtualBox says it in several places, in no fixed one. */
async function failure({ log }: Launcher, said: string): Promise<EnvironmentError> {
  const words = [startError(said), await log.errors()].filter((text) => text !== '').join('\n');
  const known = explain(words);
  return new EnvironmentError(
    'virtualbox-start-failed',
    `VirtualBox cannot start the machine${known === undefined ? '' : `, since ${known.reason}`}:\n${words || 'it does not say why'}`,
    { hint: known?.hint ?? '`polyvisor doctor` tries whether VirtualBox can run machines here' },
  );
}

/** Without the lines that are there also when all is well. */
function startError(said: string): string {
  const told = /failed to start machine\. Error message: (.*)/.exec(said)?.[1];
  if (told !== undefined) return told;
  const lines = said
    .split('\n')
    .filter((line) => !/^(?:Oracle .*Interface|Copyright|Starting virtual machine:)/.test(line));
  return complaintOf(lastLines(lines.join('\n'), 6)).text;
}
