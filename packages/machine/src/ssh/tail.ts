/** The end of what came, in bounded memory. */
export class Tail {
  readonly #most: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** In bytes. */
  constructor(most: number) {
    this.#most = most;
  }

  push(bytes: Buffer): void {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    // Twice as much may lie around, so that each byte is copied about once.
    if (this.#bytes > 2 * this.#most) {
      const kept = Buffer.from(Buffer.concat(this.#pieces).subarray(-this.#most));
      this.#pieces = [kept];
      this.#bytes = kept.length;
    }
  }

  text(): string {
    return Buffer.concat(this.#pieces).subarray(-this.#most).toString('utf8');
  }

  /** The last lines that are not empty, for a message. */
  lastLines(count: number): string {
    const lines = this.text()
      .slice(-count * 500)
      .split(/\r?\n/);
    return lines
      .filter((line) => line.trim() !== '')
      .slice(-count)
      .join('\n');
  }
}
