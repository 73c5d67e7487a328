import { Worker } from 'node:worker_threads';
import { POOL } from './fuzz.js';
import { sharedInput } from './shared-input.js';
import type { WorkerMessage, WorkerTask } from './worker.js';

/** Longest time that one input may take, in milliseconds, on a machine that does other things as well. */
const LONGEST = 20_000;

/**
 * Largest growth of the process for each worker in it, in bytes: what a reader may take, and what the inputs take here, which are
 * copied before and after they are changed.
 */
const MOST_MEMORY = 256 * 1024 * 1024 + 6 * POOL;

const WATCH_INTERVAL = 200;

export interface WorkerReport {
  readonly runs: number;
  readonly features: number;
  readonly findings: readonly { readonly what: string; readonly stack: string; readonly input: Uint8Array }[];
  /** Inputs that went a new way. */
  readonly news: number;
}

export interface RunOptions {
  /** Workers in this process at the same time. */
  readonly jobs: number;
  readonly onNews: (input: Uint8Array) => void;
}

/** Fuzzes one reader in a thread of its own, and ends it when an input makes it hang, die or eat memory. */
export async function runWorker(task: Omit<WorkerTask, 'memory'>, { jobs, onNews }: RunOptions): Promise<WorkerReport> {
  const shared = sharedInput();
  const findings: WorkerReport['findings'][number][] = [];
  let news = 0;
  const kinds = new Set<string>();
  const add = (what: string, stack: string, input: Uint8Array) => {
    // One input of a kind is enough; the place in the code is what tells kinds apart.
    const kind = stack
      .split('\n')
      .slice(0, 3)
      .join('\n')
      .replaceAll(/\d{3,}/g, 'N');
    if (kinds.has(kind)) return;
    kinds.add(kind);
    findings.push({ what, stack, input });
  };
  let result = { runs: 0, features: 0 };
  const start = process.memoryUsage().rss;
  await new Promise<void>((resolve) => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: { ...task, memory: shared.memory },
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    let runs = 0;
    let since = performance.now();
    const watch = setInterval(() => {
      if (shared.runs() !== runs) {
        runs = shared.runs();
        since = performance.now();
      }
      const hangs = runs > 0 && performance.now() - since > LONGEST;
      const grown = process.memoryUsage().rss - start;
      if (hangs) add(`an input took longer than ${LONGEST / 1000} s`, 'hang', shared.get());
      if (grown > jobs * MOST_MEMORY) add(`the process grew by ${grown} bytes`, 'memory', shared.get());
      if (hangs || grown > jobs * MOST_MEMORY) void worker.terminate();
    }, WATCH_INTERVAL);
    worker.on('message', (message: WorkerMessage) => {
      if (message.type === 'violation') add(message.what, message.stack, message.input);
      else if (message.type === 'news') {
        news++;
        onNews(message.input);
      } else result = { runs: message.runs, features: message.features };
    });
    worker.on('error', (error: Error) => add(error.message, error.stack ?? error.message, shared.get()));
    worker.on('exit', () => {
      clearInterval(watch);
      resolve();
    });
  });
  return { runs: result.runs || shared.runs(), features: result.features, findings, news };
}
