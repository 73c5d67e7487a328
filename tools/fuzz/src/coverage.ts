import { type Profiler, Session } from 'node:inspector';

/** Which code ran between two calls, by V8's own counters. */
export interface Coverage {
  /** What ran since the last call, as names that are the same for the same way through the code. */
  take(): Promise<Iterable<string>>;
  stop(): void;
}

/** Watches the modules whose address contains one of `parts`. */
export async function watchCoverage(parts: readonly string[]): Promise<Coverage> {
  const session = new Session();
  session.connect();
  const post = (method: string, parameters?: object) =>
    new Promise<unknown>((resolve, reject) => {
      session.post(method, parameters, (error, result) =>
        error === null ? resolve(result) : reject(error as unknown as Error),
      );
    });
  await post('Profiler.enable');
  await post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return {
    take: async () => {
      const { result } = (await post('Profiler.takePreciseCoverage')) as Profiler.TakePreciseCoverageReturnType;
      return features(result, parts);
    },
    stop: () => session.disconnect(),
  };
}

/**
 * One feature for each way through a function: which of its branches ran, and the magnitude of how often. V8 lists a branch
 * that was not taken, and says nothing of one that ran as often as what is around it, so only the whole list tells.
 */
function* features(scripts: readonly Profiler.ScriptCoverage[], parts: readonly string[]): Generator<string> {
  for (const { url, scriptId, functions } of scripts) {
    if (!parts.some((part) => url.includes(part))) continue;
    for (const { ranges } of functions) yield `${scriptId}:${ranges.map(branch).join(' ')}`;
  }
}

function branch({ startOffset, count }: Profiler.CoverageRange): string {
  return `${startOffset}:${count === 0 ? '-' : Math.min(3, Math.floor(Math.log2(count) / 3))}`;
}
