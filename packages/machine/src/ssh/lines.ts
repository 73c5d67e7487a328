import { StringDecoder } from 'node:string_decoder';
import { withoutControls } from '../console.js';

/** Of one line, in characters; the rest of it is dropped. */
const LONGEST_LINE = 4096;

/** Cuts output into lines for people, with memory for one line. */
export class Lines {
  readonly #decoder = new StringDecoder('utf8');
  readonly #onLine: (line: string) => void;
  #line = '';
  #cut = false;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(bytes: Buffer): void {
    const pieces = this.#decoder.write(bytes).split('\n');
    pieces.forEach((piece, index) => {
      if (index > 0) this.#emit();
      this.#append(piece);
    });
  }

  /** What came without a line end. */
  end(): void {
    this.#append(this.#decoder.end());
    if (this.#line !== '') this.#emit();
  }

  #append(piece: string): void {
    const room = LONGEST_LINE - this.#line.length;
    this.#cut ||= piece.length > room;
    this.#line += piece.slice(0, Math.max(0, room));
  }

  #emit(): void {
    // A progress bar writes over itself: its last state is what a person would see.
    const shown = withoutControls(this.#line.replace(/\r+$/, '').replace(/^.*\r/s, ''));
    this.#onLine(this.#cut ? `${shown} […]` : shown);
    this.#line = '';
    this.#cut = false;
  }
}
