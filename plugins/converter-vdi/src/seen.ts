/** Blocks of a file that one bitmap covers: 4 MiB of memory. */
export const SEEN_WINDOW = 2 ** 25;

/**
 * Which blocks of the file were met, a window of them at a time, so that memory stays flat: whoever has more blocks to
 * look at goes over the map once for each window.
 */
export class SeenBlocks {
  readonly #first: number;
  readonly #count: number;
  readonly #bits: Uint8Array;

  /** Of `total` blocks, those from `first` on that fit into the window. */
  constructor(first: number, total: number) {
    this.#first = first;
    this.#count = Math.max(0, Math.min(SEEN_WINDOW, total - first));
    this.#bits = new Uint8Array(Math.ceil(this.#count / 8));
  }

  /** Notes a block. Whether it was met before; never for blocks outside the window. */
  add(block: number): boolean {
    const at = block - this.#first;
    if (at < 0 || at >= this.#count) return false;
    const bit = 1 << (at & 7);
    const before = this.#bits[at >>> 3] ?? 0;
    this.#bits[at >>> 3] = before | bit;
    return (before & bit) !== 0;
  }
}
