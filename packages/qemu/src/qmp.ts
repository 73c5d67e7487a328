import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** What QEMU tells by itself, such as `SHUTDOWN` with its reason. */
export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A message longer than this is not one of ours; QEMU's greeting has a few hundred bytes. */
const LONGEST_MESSAGE = 1024 * 1024;

interface Waiting {
  readonly command: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A connection to QEMU's monitor (QMP): one JSON object a line, each command answered in order.
 * connection = { execute }, close.
 */
export class QmpClient implements Disposable {
  readonly #socket: Socket;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #waiting: Waiting[] = [];
  /** Settles when QEMU has said its last. */
  readonly closed: Promise<void>;
  #buffer = '';

  private constructor(socket: Socket, onEvent: (event: QmpEvent) => void) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#receive(text));
    socket.on('error', (error) => this.#fail(error));
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#fail(new Error('the connection to QEMU ended'));
        resolve();
      });
    });
  }

  /** Tries until QEMU listens on its socket, or the signal fires. */
  static async connect(path: string, onEvent: (event: QmpEvent) => void, signal: AbortSignal): Promise<QmpClient> {
    for (;;) {
      signal.throwIfAborted();
      const socket = await tryToConnect(path);
      if (socket !== undefined) {
        const client = new QmpClient(socket, onEvent);
        await client.execute('qmp_capabilities');
        return client;
      }
      await delay(20, undefined, { signal });
    }
  }

  async execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#socket.destroyed) throw new Error(`QMP ${command}: the connection to QEMU ended`);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, resolve, reject });
      this.#socket.write(
        `${JSON.stringify(args === undefined ? { execute: command } : { execute: command, arguments: args })}\n`,
      );
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    this.#buffer += text;
    if (this.#buffer.length > LONGEST_MESSAGE) return void this.#socket.destroy(new Error('QMP message too long'));
    const lines = this.#buffer.split('\n');
    this.#buffer = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() !== '') this.#dispatch(line);
    }
  }

  #dispatch(line: string): void {
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return void this.#socket.destroy(new Error('QMP message is not JSON'));
    }
    if (typeof message['event'] === 'string') {
      this.#onEvent({ event: message['event'], data: (message['data'] ?? {}) as Record<string, unknown> });
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
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }
}

async function tryToConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', () => resolve(undefined));
  });
}
