import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { readInputs } from './corpus.js';
import { watchCoverage } from './coverage.js';
import { fuzz } from './fuzz.js';
import { createRandom } from './random.js';
import { loadHost } from './readers.js';
import { seeds } from './seeds.js';
import { sharedInput } from './shared-input.js';

/** What a worker is told: one reader, for some time. */
export interface WorkerTask {
  readonly format: string;
  /** In milliseconds. */
  readonly duration: number;
  readonly seed: number;
  readonly memory: SharedArrayBuffer;
  /** Folder with a folder for each format. */
  readonly corpus: string;
}

export type WorkerMessage =
  | { readonly type: 'violation'; readonly input: Uint8Array; readonly what: string; readonly stack: string }
  | { readonly type: 'news'; readonly input: Uint8Array }
  | { readonly type: 'done'; readonly runs: number; readonly features: number };

const task = workerData as WorkerTask;
const send = (message: WorkerMessage) => parentPort?.postMessage(message);
// A promise that is rejected behind everybody's back is a bug of a reader, too.
const shared = sharedInput(task.memory);
process.on('unhandledRejection', (error) => {
  send({
    type: 'violation',
    input: shared.get(),
    what: `unhandled rejection: ${String(error)}`,
    stack: stackOf(error),
  });
});

// First: code that was compiled before has no counters for its branches.
const coverage = await watchCoverage(['/plugins/', '/packages/']);
await using host = await loadHost();
const converter = host.converter(task.format);
const kept = await readInputs(join(task.corpus, task.format));
const end = performance.now() + task.duration;
const result = await fuzz({
  converter,
  inputs: [...(await seeds(converter)), ...kept.map(({ bytes }) => bytes)],
  coverage,
  random: createRandom(task.seed),
  goOn: () => performance.now() < end,
  before: (input) => shared.set(input),
  onViolation: (input, violation) =>
    send({ type: 'violation', input, what: violation.message, stack: stackOf(violation.cause ?? violation) }),
  onNews: (input) => send({ type: 'news', input }),
});
coverage.stop();
send({ type: 'done', ...result });

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
