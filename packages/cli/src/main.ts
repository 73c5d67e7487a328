import { reportOf } from './error-report.js';
import { ExitCode, Interruption } from './exit-code.js';
import { run } from './run.js';

/**
 * The process around a run. The first signal ends the run through its AbortSignal and waits for it to clean up; the
 * second one ends the process at once (the host's watchdog still kills what runs, the next run removes the rest).
 */
const stop = new AbortController();

/**
 * How long the same signal again is the same wish, in milliseconds: one Ctrl-C reaches us from the terminal and once more
 * from npm or `timeout`, which pass on what they get.
 */
const ECHO = 500;

let first: { readonly signal: string; readonly at: number } | undefined;

function onSignal(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void {
  const code = signal === 'SIGINT' ? ExitCode.interrupted : ExitCode.terminated;
  if (first?.signal === signal && performance.now() - first.at < ECHO) return;
  first = { signal, at: performance.now() };
  if (stop.signal.aborted) process.exit(code);
  process.stderr.write(`\n${signal}: stopping and cleaning up; once more to leave at once\n`);
  stop.abort(new Interruption(`ended by ${signal}`, code));
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => onSignal(signal));

/** Whoever read our output is gone (`| head`): end the run, quietly. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (stream === process.stdout)
      stop.abort(new Interruption('the reader of the output is gone', ExitCode.outputClosed));
  });
}

/** Time that a run gets to clean up after a bug, in milliseconds. */
const LAST_CHANCE = 10_000;

/** A bug that nobody caught ends the run like a signal does, so that it is cleaned up after and reported as any other. */
function onBug(error: unknown): void {
  if (stop.signal.aborted) return leave(error);
  setTimeout(() => leave(error), LAST_CHANCE).unref();
  stop.abort(error);
}

function leave(error: unknown): void {
  const { message, stack } = reportOf(error);
  process.stderr.write(`${stack ?? message}\n`);
  process.exit(ExitCode.bug);
}
process.on('uncaughtException', onBug);
process.on('unhandledRejection', onBug);

// Should a run come to rest without an end, nobody may take that for success.
process.exitCode = ExitCode.bug;

const code = await run(process.argv.slice(2), {
  // Made when it is asked for: a stream on standard input may keep a process from ending.
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  cwd: process.cwd(),
  env: process.env,
  signal: stop.signal,
});

// A pipe takes what was written later than this line; leaving before that would cut the output short. A run that was
// ended does not wait for a reader that has come to a stand.
const written = Promise.all(
  [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((done) => (stream.writable ? stream.write('', () => done()) : done())),
  ),
);
const patience = new Promise((done) => stop.signal.aborted && setTimeout(done, 1000));
await Promise.race([written, patience]);
process.exit(code);
