/** Time for something, in milliseconds, with what is thrown when it is over. */
export interface TimeLimit {
  readonly milliseconds: number;
  readonly error: () => Error;
}

/** How long is waited for work to end that was told to, in milliseconds. What listens to its signal ends at once. */
const GRACE = 1000;

/** Longer than a timer can be. */
const FOR_EVER = 2 ** 31;

/**
 * Lets several works go on side by side until one of them settles, their time is over or the signal fires, whatever comes first;
 * that is the result. The others are told to end by their signal, and waited for; what does not listen is left alone after a moment.
 */
export async function firstOf<T>(
  limit: TimeLimit | undefined,
  signal: AbortSignal,
  works: readonly ((signal: AbortSignal) => Promise<T>)[],
): Promise<T> {
  signal.throwIfAborted();
  const scope = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let abort: () => void = () => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    if (limit !== undefined && limit.milliseconds < FOR_EVER)
      timer = setTimeout(() => reject(limit.error()), limit.milliseconds);
  });
  const working = works.map((work) => work(scope.signal));
  try {
    return await Promise.race([...working, ended]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    scope.abort(signal.aborted ? signal.reason : new Error('nobody waits for this any more'));
    await settled(working);
  }
}

async function settled(works: readonly Promise<unknown>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, GRACE)));
  await Promise.race([Promise.allSettled(works), late]);
  clearTimeout(timer);
}
