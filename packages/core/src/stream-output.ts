import { createHash } from 'node:crypto';
import type { Writable } from 'node:stream';
import type { DiskSink } from './disk.js';
import { filledSink } from './filled-sink.js';

/** An output that goes into a pipe. What has been written cannot be taken back. */
export interface StreamOutput {
  readonly sink: DiskSink;
  /** Bytes so far. */
  bytes(): number;
  /** Hash of all bytes, in lower-case hexadecimal digits. Called once, at the end. */
  sha256(): string;
}

/** Writes front to back, zeros into gaps, and hashes on the way. Waiting for a reader ends with the signal. */
export function streamOutput(stream: Writable, signal: AbortSignal): StreamOutput {
  const hash = createHash('sha256');
  let position = 0;
  return {
    sink: filledSink({
      write: async (bytes, offset) => {
        if (offset !== position) throw new Error(`a writer went back to offset ${offset} in a pipe, at ${position}`);
        await writeTo(stream, bytes, signal);
        hash.update(bytes);
        position += bytes.length;
      },
      end: (size) =>
        size === position ? Promise.resolve() : Promise.reject(new Error(`a pipe cannot be cut to ${size} bytes`)),
    }),
    bytes: () => position,
    sha256: () => hash.digest('hex'),
  };
}

function writeTo(stream: Writable, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((settle, fail) => {
    const stop = () => fail(signal.reason as Error);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    stream.write(bytes, (error) => {
      signal.removeEventListener('abort', stop);
      if (error == null) settle();
      // Whoever listens for the stream's own error (a reader that went away) has the first word.
      else setImmediate(fail, error);
    });
  });
}
