import { MEDIA_DESCRIPTOR } from './boot-sector.js';
import { type FatGeometry, SECTOR } from './fat-geometry.js';

/** Hands out clusters one after the other and keeps what the table says of them. */
export class FileTable {
  readonly #geometry: FatGeometry;
  readonly #next: number[];

  constructor(geometry: FatGeometry) {
    this.#geometry = geometry;
    // The media descriptor with ones before it, and "ended properly".
    this.#next = [0xff00 | MEDIA_DESCRIPTOR, 0xffff];
  }

  /** First cluster of a chain for so many bytes; 0, which stands for no cluster, when there are none. */
  take(length: number): number {
    const count = Math.ceil(length / (this.#geometry.sectorsPerCluster * SECTOR));
    if (count === 0) return 0;
    const first = this.#next.length;
    for (let n = 1; n < count; n++) this.#next.push(first + n);
    this.#next.push(0xffff);
    return first;
  }

  /** Byte offset of a cluster in the image. */
  offset(cluster: number): number {
    return (this.#geometry.dataStart + (cluster - 2) * this.#geometry.sectorsPerCluster) * SECTOR;
  }

  bytes(): Buffer {
    const table = Buffer.alloc(this.#geometry.tableLength * SECTOR);
    this.#next.forEach((value, n) => {
      if (this.#geometry.bits === 16) table.writeUInt16LE(value, n * 2);
      else {
        // Two entries share three bytes, the first of them in the lower half.
        const at = n + (n >> 1);
        const pair = table.readUInt16LE(at);
        table.writeUInt16LE(
          n % 2 === 0 ? (pair & 0xf000) | (value & 0xfff) : (pair & 0x000f) | ((value & 0xfff) << 4),
          at,
        );
      }
    });
    return table;
  }
}
