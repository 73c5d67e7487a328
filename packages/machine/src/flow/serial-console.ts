import { type FileHandle, open } from 'node:fs/promises';
import { ConsoleText } from '../console.js';

const CHUNK = 64 * 1024;

/** What the guest says on its first serial port, read from the file that the hypervisor appends to. */
export class SerialConsole {
  readonly text = new ConsoleText();
  readonly #path: string;
  #offset = 0;
  #changed = performance.now();

  constructor(path: string) {
    this.#path = path;
  }

  /** Takes what has been said meanwhile. Returns true when there is new text. */
  async poll(): Promise<boolean> {
    let handle: FileHandle;
    try {
      handle = await open(this.#path, 'r');
    } catch {
      return false; // nothing has been said yet
    }
    try {
      const { size } = await handle.stat();
      let news = false;
      // Of a guest that says more than anybody reads, only the end counts.
      this.#offset = Math.max(Math.min(this.#offset, size), size - 16 * CHUNK);
      const buffer = Buffer.alloc(CHUNK);
      while (this.#offset < size) {
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, this.#offset);
        if (bytesRead === 0) break;
        this.#offset += bytesRead;
        news = this.text.push(buffer.subarray(0, bytesRead)) || news;
      }
      if (news) this.#changed = performance.now();
      return news;
    } finally {
      await handle.close();
    }
  }

  /** How much has been read. */
  get bytes(): number {
    return this.#offset;
  }

  /** Empty while nothing has been said. */
  get lastLine(): string {
    return this.text.tail(1)[0]?.trim() ?? '';
  }

  /** Since when nothing new has been said, in milliseconds. */
  get stillFor(): number {
    return performance.now() - this.#changed;
  }
}
