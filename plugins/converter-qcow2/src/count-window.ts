/**
 * True reference counts of some clusters of the file. A large file is gone through in several windows, so that memory
 * does not grow with it: 5 bytes a cluster, at most 2²³ of them at once (or what one refcount block counts).
 */
export class CountWindow {
  /** Number of the first cluster. */
  readonly first: number;
  readonly counts: Uint32Array;
  /** 1 where one of the image's own tables is. */
  readonly #tables: Uint8Array;
  readonly #clusterSize: number;

  constructor(first: number, clusters: number, clusterSize: number) {
    this.first = first;
    this.counts = new Uint32Array(clusters);
    this.#tables = new Uint8Array(clusters);
    this.#clusterSize = clusterSize;
  }

  /** The count of the cluster at a byte offset; undefined outside the window. */
  at(host: number): number | undefined {
    return this.counts[Math.floor(host / this.#clusterSize) - this.first];
  }

  /**
   * Counts `weight` references to every cluster that the bytes touch. Returns whether a table now shares one of them with
   * anything else, which no sound image has.
   */
  claim(host: number, length: number, weight: number, isTable: boolean): boolean {
    const start = Math.max(0, Math.floor(host / this.#clusterSize) - this.first);
    const end = Math.min(this.counts.length, Math.floor((host + length - 1) / this.#clusterSize) + 1 - this.first);
    let shared = false;
    for (let index = start; index < end; index++) {
      const before = this.counts[index] as number;
      if (this.#tables[index] === 1 || (isTable && before > 0)) shared = true;
      this.counts[index] = before + weight;
      if (isTable) this.#tables[index] = 1;
    }
    return shared;
  }
}

/** Fewest clusters of a window, if the file has so many. */
const WINDOW = 2 ** 23;

/** The windows over a file, each a multiple of what one refcount block counts. */
export function* countWindows(clusters: number, perBlock: number, clusterSize: number): Generator<CountWindow> {
  const step = Math.max(WINDOW, perBlock);
  for (let first = 0; first < clusters; first += step) {
    yield new CountWindow(first, Math.min(step, clusters - first), clusterSize);
  }
}
