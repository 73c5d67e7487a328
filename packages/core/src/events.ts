/**
 * What happens during a run, as data. The pump, the build and the plugins emit; a renderer (terminal, plain lines, JSON)
 * shows. Times are not part of an event: the renderer stamps them.
 */
export type Event =
  /** A step of the run begins or ends. Stages may run side by side; `stage` tells them apart. */
  | { readonly type: 'stage-start'; readonly stage: string; readonly title: string }
  | {
      readonly type: 'stage-done';
      readonly stage: string;
      readonly title: string;
      readonly seconds: number;
      readonly note?: string;
    }
  | { readonly type: 'stage-failed'; readonly stage: string; readonly title: string; readonly seconds: number }
  | {
      readonly type: 'progress';
      readonly stage: string;
      readonly done: number;
      readonly total: number;
      readonly unit: 'bytes' | 'steps';
    }
  /** What a stage is waiting for right now. */
  | { readonly type: 'waiting'; readonly stage: string; readonly message: string }
  | { readonly type: 'log'; readonly level: LogLevel; readonly scope: string; readonly message: string }
  | {
      readonly type: 'artifact';
      readonly path: string;
      readonly format: string;
      readonly bytes: number;
      readonly stored: number;
      readonly sha256?: string;
    };

export type LogLevel = 'debug' | 'info' | 'warn';

export type Emit = (event: Event) => void;

/** Lines for people, with the scope (plugin, stage) that says them. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
}

export function createLogger(emit: Emit, scope: string): Logger {
  const at = (level: LogLevel) => (message: string) => emit({ type: 'log', level, scope, message });
  return { debug: at('debug'), info: at('info'), warn: at('warn') };
}

/** Runs one stage, emitting its start and its end with the time it took. `note` of the result's end comes from `describe`. */
export async function stage<T>(
  emit: Emit,
  name: string,
  title: string,
  work: () => Promise<T>,
  describe?: (result: T) => string,
): Promise<T> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  emit({ type: 'stage-start', stage: name, title });
  try {
    const result = await work();
    const note = describe?.(result);
    emit({ type: 'stage-done', stage: name, title, seconds: seconds(), ...(note === undefined ? {} : { note }) });
    return result;
  } catch (error) {
    emit({ type: 'stage-failed', stage: name, title, seconds: seconds() });
    throw error;
  }
}
