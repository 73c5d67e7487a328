/** Stretches in a page, which is made when its first grain comes. */
const PAGE = 2048;

/** 64 MiB: all grains of 64 KiB that a file can hold. What comes after is not looked at. */
const MAX_PAGES = 16_384;

/**
 * Remembers where grains start, to find out when two overlap. The file is cut into stretches of a grain's length; of each, the
 * sector is kept at which a grain starts in it. Memory: 2 bytes for each grain of the file, at most 64 MiB.
 */
export class GrainPlaces {
  readonly #grainSectors: number;
  readonly #pages = new Map<number, Uint16Array>();

  constructor(grainSectors: number) {
    this.#grainSectors = grainSectors;
  }

  /** Whether the grain that starts at `sector` lies clear of all earlier ones. */
  add(sector: number): boolean {
    const stretch = Math.floor(sector / this.#grainSectors);
    const within = (sector % this.#grainSectors) + 1; // 0 stands for none
    if (this.#get(stretch) !== 0) return false;
    const before = this.#get(stretch - 1);
    const after = this.#get(stretch + 1);
    if (before > within || (after !== 0 && after < within)) return false;
    const index = Math.floor(stretch / PAGE);
    let page = this.#pages.get(index);
    if (page === undefined) {
      if (this.#pages.size === MAX_PAGES) return true;
      this.#pages.set(index, (page = new Uint16Array(PAGE)));
    }
    page[stretch % PAGE] = within;
    return true;
  }

  #get(stretch: number): number {
    return this.#pages.get(Math.floor(stretch / PAGE))?.[stretch % PAGE] ?? 0;
  }
}
