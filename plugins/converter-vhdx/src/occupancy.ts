import { MIB } from './layout.js';

/** MiB in one page of the map: 64 GiB of the file in 8 KiB of memory. */
const PAGE = 65_536;

/**
 * Which MiB of a file are taken. Pages are made where something is taken, so that memory is bounded by the size of the
 * file, a bit for each MiB, and is next to nothing for sparse use.
 */
export class Occupancy {
  readonly #pages = new Map<number, Uint8Array>();
  /** The page used last: most of a table leads to the same one. */
  #last: { readonly index: number; readonly page: Uint8Array } = { index: -1, page: new Uint8Array(0) };

  /** Takes what lies between two offsets, rounded out to whole MiB. Returns the first offset that was taken before. */
  take(from: number, to: number): number | undefined {
    let clash: number | undefined;
    const end = Math.ceil(to / MIB);
    for (let unit = Math.floor(from / MIB); unit < end; unit++) {
      const page = this.#page(Math.floor(unit / PAGE));
      const [index, bit] = [(unit % PAGE) >> 3, 1 << (unit & 7)];
      const byte = page[index] as number;
      if ((byte & bit) !== 0) clash ??= unit * MIB;
      page[index] = byte | bit;
    }
    return clash;
  }

  #page(index: number): Uint8Array {
    if (this.#last.index === index) return this.#last.page;
    let page = this.#pages.get(index);
    if (page === undefined) this.#pages.set(index, (page = new Uint8Array(PAGE / 8)));
    this.#last = { index, page };
    return page;
  }
}
