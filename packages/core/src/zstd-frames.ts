import { FormatError } from './errors.js';

/** RFC 8878 §3.1.1 and §3.1.2: little-endian magic numbers of a frame, and of one to be skipped (its low 4 bits are free). */
const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;

/** Largest first part of a frame: magic, descriptor, window, dictionary, content size. */
const MAX_HEADER = 18;

/** No block gives more than this, compressed or not (RFC 8878 §3.1.1.2.4), in bytes. */
export const ZSTD_MAX_BLOCK = 128 * 1024;

type State = 'header' | 'block' | 'skip';

export function zstdInvalid(what: string, details: { expected?: string; found?: string; cause?: unknown } = {}) {
  return new FormatError('zstd-invalid', what, details);
}

/**
 * Follows the frames of a zstd stream without decoding them: where they end, and that none asks for more memory than
 * allowed. So every decoder gets whole, bounded frames, whatever it would do with what follows them.
 */
export class ZstdFrames {
  readonly #maxWindow: number;
  readonly #maxContent: number;
  #state: State = 'header';
  /** Bytes of the field that is being gathered. */
  #field: number[] = [];
  /** Payload bytes to pass over. */
  #skip = 0;
  #lastBlock = false;
  #checksum = false;
  /** Whole frames seen, those to be skipped included. */
  #frames = 0;
  /** Whether the last frame seen is one to be skipped. */
  #skippable = false;

  /** Both in bytes: the history that a frame may want kept, and what it may declare to hold. */
  constructor({ maxWindow, maxContent = Infinity }: { readonly maxWindow: number; readonly maxContent?: number }) {
    this.#maxWindow = maxWindow;
    this.#maxContent = maxContent;
  }

  get frames(): number {
    return this.#frames;
  }

  get skippable(): boolean {
    return this.#skippable;
  }

  /** Whether the bytes so far end with a frame. */
  get atEnd(): boolean {
    return this.#state === 'header' && this.#field.length === 0;
  }

  /** Passes over `bytes`, or up to the end of the first frame that ends in them. Returns how many were passed over. */
  push(bytes: Uint8Array, stopAtFrame = false): number {
    const before = this.#frames;
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === 'skip') {
        const length = Math.min(this.#skip, bytes.length - at);
        at += length;
        this.#skip -= length;
        if (this.#skip === 0) this.#endOfPayload();
      } else {
        this.#field.push(bytes[at++] as number);
        if (this.#state === 'header') this.#header();
        else this.#block();
      }
      if (stopAtFrame && this.#frames > before) break;
    }
    return at;
  }

  #header(): void {
    const field = this.#field;
    if (field.length < 5) return;
    const magic = little(field, 0, 4);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
      if (field.length < 8) return;
      this.#skippable = true;
      this.#lastBlock = true;
      this.#checksum = false;
      this.#pass(little(field, 4, 4));
      return;
    }
    if (magic !== FRAME) {
      throw zstdInvalid('there is no zstd frame where one should start', {
        expected: `0x${FRAME.toString(16)}`,
        found: `0x${magic.toString(16)}`,
      });
    }
    const descriptor = field[4] as number;
    const single = (descriptor & 0x20) !== 0;
    const dictionary = [0, 1, 2, 4][descriptor & 3] as number;
    const contentBytes = descriptor >> 6 === 0 ? (single ? 1 : 0) : 1 << (descriptor >> 6);
    const length = 5 + (single ? 0 : 1) + dictionary + contentBytes;
    if (field.length < Math.min(length, MAX_HEADER)) return;
    if ((descriptor & 8) !== 0) throw zstdInvalid('a reserved bit of a zstd frame is set');
    const dictionaryAt = single ? 5 : 6;
    if (little(field, dictionaryAt, dictionary) !== 0) throw zstdInvalid('the zstd data needs a dictionary');
    const declared = little(field, dictionaryAt + dictionary, contentBytes) + (contentBytes === 2 ? 256 : 0);
    const window = single ? declared : windowSize(field[5] as number);
    if (window > this.#maxWindow) {
      throw zstdInvalid('the zstd data wants too much memory', {
        expected: `a window of at most ${this.#maxWindow} bytes`,
        found: `${window}`,
      });
    }
    if (contentBytes > 0 && declared > this.#maxContent) {
      throw zstdInvalid('the zstd data holds too much', {
        expected: `at most ${this.#maxContent} bytes`,
        found: `${declared}`,
      });
    }
    this.#skippable = false;
    this.#checksum = (descriptor & 4) !== 0;
    this.#state = 'block';
    this.#field = [];
  }

  #block(): void {
    if (this.#field.length < 3) return;
    const header = little(this.#field, 0, 3);
    const kind = (header >> 1) & 3;
    const size = header >>> 3;
    if (kind === 3 || size > ZSTD_MAX_BLOCK) throw zstdInvalid('a block of the zstd data is malformed');
    this.#lastBlock = (header & 1) !== 0;
    // A run-length block stores one byte, whatever its size.
    this.#pass((kind === 1 ? 1 : size) + (this.#lastBlock && this.#checksum ? 4 : 0));
  }

  #pass(bytes: number): void {
    this.#field = [];
    this.#state = 'skip';
    this.#skip = bytes;
    if (bytes === 0) this.#endOfPayload();
  }

  #endOfPayload(): void {
    this.#state = this.#lastBlock ? 'header' : 'block';
    if (this.#lastBlock) this.#frames++;
  }
}

/** RFC 8878 §3.1.1.1.2: a power of two from 1 KiB up, plus eighths of it. */
function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function little(bytes: readonly number[], at: number, length: number): number {
  let value = 0;
  for (let index = length - 1; index >= 0; index--) value = value * 256 + (bytes[at + index] as number);
  return value;
}
