import type { Renderer, RenderOptions } from './renderer.js';

/** Newline-delimited JSON on stdout: one object for every event, the last one the answer or the error. */
export function createJsonRenderer({ stdout, verbosity, redact, now }: RenderOptions): Renderer {
  const write = (record: object) => {
    const line = { time: new Date(now()).toISOString(), ...record };
    stdout.write(
      `${JSON.stringify(line, (_, value: unknown) => (typeof value === 'string' ? redact(value) : value))}\n`,
    );
  };
  return {
    event: (event) => {
      if (event.type === 'log' && event.level === 'debug' && verbosity !== 'verbose') return;
      if (verbosity === 'quiet' && !(event.type === 'log' && event.level === 'warn')) return;
      write(event);
    },
    result: (value) => write({ type: 'result', ...value }),
    error: (report) => write({ type: 'error', ...report }),
    close: () => undefined,
  };
}
