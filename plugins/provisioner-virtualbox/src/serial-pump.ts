import { appendFile, open, rm } from 'node:fs/promises';

const POLL = 100;
const CHUNK = 64 * 1024;

/**
 * Adds what VirtualBox writes to a file of its own, which it empties at each start, to the log of the serial port, which
 * goes on. Disposing it adds the rest.
 */
export class SerialPump implements AsyncDisposable {
  readonly #from: string;
  readonly #to: string;
  #position = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  private constructor(from: string, to: string) {
    this.#from = from;
    this.#to = to;
  }

  /** Before the machine starts: nothing that is in the file by then is new. */
  static async start(from: string, to: string): Promise<SerialPump> {
    await rm(from, { force: true });
    await appendFile(to, '');
    const pump = new SerialPump(from, to);
    pump.#timer = setInterval(() => void pump.#next(), POLL);
    return pump;
  }

  /** One after the other, so that nothing is added twice. */
  #next(): Promise<void> {
    return (this.#running = this.#running.then(() => this.#copy()).catch(() => undefined));
  }

  async #copy(): Promise<void> {
    await using file = await open(this.#from, 'r');
    const bytes = Buffer.alloc(CHUNK);
    for (;;) {
      const { bytesRead } = await file.read(bytes, 0, CHUNK, this.#position);
      if (bytesRead === 0) return;
      await appendFile(this.#to, bytes.subarray(0, bytesRead));
      this.#position += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#next();
  }
}
