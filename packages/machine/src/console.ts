import { StringDecoder } from 'node:string_decoder';

/** Text kept for matching and for the tail shown in errors, in characters. */
const KEPT = 64 * 1024;

/** An escape sequence longer than this is none (ECMA-48 sets no limit; real ones have a few bytes). */
const LONGEST_ESCAPE = 256;

// ECMA-48 §5.4: CSI sequences, strings such as OSC up to their terminator, and two-character escapes.
// eslint-disable-next-line no-control-regex
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])/g;
// eslint-disable-next-line no-control-regex
const UNFINISHED_ESCAPE = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)$/;
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g;

/** Text as a person would read it: without colours, cursor movements, carriage returns. */
export function withoutControls(text: string): string {
  return text.replace(ESCAPES, '').replace(CONTROLS, '');
}

/** The console as a person would read it: bytes in, text without colours, cursor movements and carriage returns out. */
export class ConsoleText {
  readonly #decoder = new StringDecoder('utf8');
  #carry = '';
  #text = '';
  /** Characters that were kept once and are not any more. */
  #forgotten = 0;

  /** Takes the next bytes, wherever they were cut. Returns true when there is new text. */
  push(bytes: Buffer): boolean {
    let raw = this.#carry + this.#decoder.write(bytes);
    this.#carry = '';
    const unfinished = UNFINISHED_ESCAPE.exec(raw);
    if (unfinished !== null && unfinished[0].length <= LONGEST_ESCAPE) {
      this.#carry = unfinished[0];
      raw = raw.slice(0, unfinished.index);
    }
    const text = withoutControls(raw);
    const all = this.#text + text;
    this.#text = all.slice(-KEPT);
    this.#forgotten += all.length - this.#text.length;
    return text.length > 0;
  }

  /** The whole line in which the expression matches, or undefined. */
  lineMatching(expression: RegExp): string | undefined {
    const found = new RegExp(expression.source, expression.flags.replace(/[gy]/g, '')).exec(this.#text);
    if (found === null) return undefined;
    const start = this.#text.lastIndexOf('\n', found.index) + 1;
    const end = this.#text.indexOf('\n', found.index + found[0].length);
    return this.#text.slice(start, end < 0 ? undefined : end).trim();
  }

  /**
   * Where a text ends, in characters since the first one, or undefined when it was not seen. It is looked for from `from` on,
   * an end that was found before, so that the same text can be waited for again.
   */
  endOf(text: string, from = 0): number | undefined {
    const found = this.#text.indexOf(text, Math.max(0, from - this.#forgotten));
    return found < 0 ? undefined : this.#forgotten + found + text.length;
  }

  /** The last lines that are not empty, oldest first. */
  tail(lines: number): string[] {
    const filled = this.#text.split('\n').filter((line) => line.trim() !== '');
    return filled.slice(-lines).map((line) => line.trimEnd());
  }
}
