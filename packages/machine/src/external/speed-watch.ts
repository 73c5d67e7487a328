/** Slower than this for the whole of one's patience is as good as nothing, in bytes a second. */
const SLOWEST = 1024;

/** Ends something that hardly gets on. `signal` fires with `Stalled`, or with the reason of the run's own signal. */
export interface SpeedWatch extends Disposable {
  readonly signal: AbortSignal;
  /** Tells that bytes came. */
  count(bytes: number): void;
}

/** Why a transfer was ended. */
export class Stalled extends Error {}

export function watchSpeed(patience: number, run: AbortSignal): SpeedWatch {
  const over = new AbortController();
  let came = 0;
  const timer = setInterval(() => {
    if (came < (SLOWEST * patience) / 1000)
      over.abort(new Stalled(`only ${came} bytes came in ${Math.round(patience / 1000)} s`));
    came = 0;
  }, patience);
  return {
    signal: AbortSignal.any([run, over.signal]),
    count: (bytes) => {
      came += bytes;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
