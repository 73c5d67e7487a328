import { open, type FileHandle } from 'node:fs/promises';
import { type Emit, type Event, ioError } from '@polyvisor/core';

/** Calls the listener with every event of the run from now on, until the function that it returns is called. */
export type Observe = (listener: Emit) => () => void;

/** Characters of a log after which it takes only what matters: a script that talks without end must not fill the disk. */
const LONGEST = 64 * 2 ** 20;

/**
 * The log of a build: one JSON object a line, each an event with the seconds since the start as `at`. Secrets are replaced
 * before anything is written or passed on. Progress is not logged.
 */
export class BuildLog implements AsyncDisposable {
  readonly path: string;
  readonly emit: Emit;
  readonly #started = performance.now();
  readonly #handle: FileHandle;
  readonly #redact: (text: string) => string;
  /** Lines that wait for the write before them; they go out together, or a talkative script would fill the memory. */
  #pending = '';
  #length = 0;
  #full = false;
  #writing: Promise<void> | undefined;
  readonly #unobserve: (() => void) | undefined;
  readonly #stages = new Map<string, number>();
  #closed = false;

  private constructor(
    path: string,
    handle: FileHandle,
    redact: (text: string) => string,
    next: Emit,
    observe?: Observe,
  ) {
    this.path = path;
    this.#handle = handle;
    this.#redact = redact;
    this.emit = (event) => {
      const clean = this.#clean(event);
      if (observe === undefined) this.#take(clean);
      next(clean);
    };
    // What this build emits comes back that way as well, once.
    this.#unobserve = observe?.((event) => this.#take(this.#clean(event)));
  }

  static async create(
    path: string,
    redact: (text: string) => string,
    next: Emit,
    observe?: Observe,
  ): Promise<BuildLog> {
    try {
      return new BuildLog(path, await open(path, 'w'), redact, next, observe);
    } catch (error) {
      throw ioError(error, `cannot write the log ${path}`);
    }
  }

  /** How long each stage took, in seconds, by its title, in the order in which they ended. */
  get durations(): ReadonlyMap<string, number> {
    return this.#stages;
  }

  /** A line that is for the log alone. */
  note(message: string): void {
    this.#write({ type: 'note', message: this.#redact(message) });
  }

  /** Everything emitted so far is in the file. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unobserve?.();
    await this.#writing;
    await this.#handle.close();
  }

  #take(event: Event): void {
    if (event.type === 'stage-done') this.#stages.set(event.stage, event.seconds);
    if (event.type === 'progress') return;
    if (event.type === 'log' && event.level !== 'warn' && this.#isFull()) return;
    this.#write(event);
  }

  /** Says so in the log, once. */
  #isFull(): boolean {
    if (this.#length < LONGEST) return false;
    if (!this.#full) {
      this.#full = true;
      this.note('the log is full; from here on it has no more of what programs say, but for warnings');
    }
    return true;
  }

  #write(line: object): void {
    if (this.#closed) return;
    const at = Number(((performance.now() - this.#started) / 1000).toFixed(3));
    const text = `${JSON.stringify({ at, ...line })}\n`;
    this.#length += text.length;
    this.#pending += text;
    this.#writing ??= this.#writePending();
  }

  /** A log that cannot be written stops nothing. */
  async #writePending(): Promise<void> {
    while (this.#pending !== '') {
      const bytes = Buffer.from(this.#pending);
      this.#pending = '';
      // In as few writes as the system takes them: between two of them, more comes in.
      for (let at = 0, written = 1; at < bytes.length && written > 0; at += written)
        written = await this.#handle.write(bytes, at).then(
          ({ bytesWritten }) => bytesWritten,
          () => 0,
        );
    }
    this.#writing = undefined;
  }

  #clean(event: Event): Event {
    return Object.fromEntries(
      Object.entries(event).map(([key, value]: [string, unknown]) => [
        key,
        typeof value === 'string' ? this.#redact(value) : value,
      ]),
    ) as unknown as Event;
  }
}
