import type { Readable, Writable } from 'node:stream';

/** What QEMU tells by itself, such as `SHUTDOWN` with its reason. */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface QmpListener {
  onEvent(event: QmpEvent): void;
  /** A line that is no message, such as what a library prints on its own. */
  onNoise?(line: string): void;
}

/** A message longer than this is not one of ours; the longest, QEMU's description of itself, has some 200 kB. */
const LONGEST_MESSAGE = 4 * 1024 * 1024;

interface Waiting {
  readonly command: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * QEMU's monitor (QMP) over a pair of pipes: one JSON object a line, each command answered in order.
 * connection = { execute }, end of QEMU. Borrows the pipes.
 */
export class QmpClient {
  readonly #output: Writable;
  readonly #listener: QmpListener;
  readonly #waiting: Waiting[] = [];
  /** Settles when QEMU has said its last. */
  readonly closed: Promise<void>;
  #buffer = '';
  #broken: Error | undefined;

  constructor(input: Readable, output: Writable, listener: QmpListener) {
    this.#output = output;
    this.#listener = listener;
    input.setEncoding('utf8');
    input.on('data', (text: string) => this.#receive(text));
    output.on('error', (error) => this.#fail(error));
    this.closed = new Promise((resolve) => {
      const end = () => {
        this.#fail(new Error('the connection to QEMU ended'));
        resolve();
      };
      input.once('close', end);
      input.once('end', end);
      input.once('error', end);
    });
  }

  /** Whether QEMU still answers. */
  get open(): boolean {
    return this.#broken === undefined;
  }

  async execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#broken !== undefined) throw new Error(`QMP ${command}: ${this.#broken.message}`);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, resolve, reject });
      this.#output.write(
        `${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }) })}\n`,
      );
    });
  }

  /** A command of the monitor for people, for the few things that QMP has no word for. */
  async executeHuman(commandLine: string): Promise<string> {
    return String(await this.execute('human-monitor-command', { 'command-line': commandLine }));
  }

  #receive(text: string): void {
    if (this.#broken !== undefined) return;
    this.#buffer += text;
    if (this.#buffer.length > LONGEST_MESSAGE) return this.#fail(new Error('a message of QEMU is too long'));
    const lines = this.#buffer.split('\n');
    this.#buffer = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() !== '') this.#dispatch(line);
    }
  }

  #dispatch(line: string): void {
    const message = parseMessage(line);
    if (message === undefined) return this.#listener.onNoise?.(line);
    if (typeof message['event'] === 'string') {
      this.#listener.onEvent({ event: message['event'], data: (message['data'] ?? {}) as Record<string, unknown> });
    } else if ('return' in message) {
      this.#waiting.shift()?.resolve(message['return']);
    } else if ('error' in message) {
      const waiting = this.#waiting.shift();
      const { desc } = message['error'] as { desc?: string };
      waiting?.reject(new Error(`QMP ${waiting.command}: ${desc ?? 'failed'}`));
    }
    // What remains is the greeting.
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    this.#buffer = '';
    for (const waiting of this.#waiting.splice(0))
      waiting.reject(new Error(`QMP ${waiting.command}: ${error.message}`));
  }
}

function parseMessage(line: string): Record<string, unknown> | undefined {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === 'object' && message !== null ? (message as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
