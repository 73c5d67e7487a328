import {
  COMPRESSION_ZLIB,
  COMPRESSION_ZSTD,
  HEADER,
  INCOMPATIBLE,
  MAGIC,
  REFCOUNT_ORDER,
  VERSION_2_HEADER_LENGTH,
  VERSION_3_HEADER_LENGTH,
} from './layout.js';

export interface NewHeader {
  readonly version: 2 | 3;
  readonly clusterSize: number;
  readonly size: number;
  readonly l1Size: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly zstd: boolean;
}

/** The header of a new image, with the end of an empty list of extensions. */
export function headerBytes(image: NewHeader): Buffer {
  const { version, zstd } = image;
  const length = version === 2 ? VERSION_2_HEADER_LENGTH : VERSION_3_HEADER_LENGTH;
  // Eight zero bytes behind the header are the extension that ends the list of extensions.
  const header = Buffer.alloc(length + 8);
  header.writeUInt32BE(MAGIC, HEADER.magic);
  header.writeUInt32BE(version, HEADER.version);
  header.writeUInt32BE(Math.log2(image.clusterSize), HEADER.clusterBits);
  header.writeBigUInt64BE(BigInt(image.size), HEADER.size);
  header.writeUInt32BE(image.l1Size, HEADER.l1Size);
  header.writeBigUInt64BE(BigInt(image.l1Offset), HEADER.l1TableOffset);
  header.writeBigUInt64BE(BigInt(image.refcountTableOffset), HEADER.refcountTableOffset);
  header.writeUInt32BE(image.refcountTableClusters, HEADER.refcountTableClusters);
  if (version === 3) {
    header.writeBigUInt64BE(zstd ? INCOMPATIBLE.compressionType : 0n, HEADER.incompatibleFeatures);
    header.writeUInt32BE(REFCOUNT_ORDER, HEADER.refcountOrder);
    header.writeUInt32BE(length, HEADER.headerLength);
    header.writeUInt8(zstd ? COMPRESSION_ZSTD : COMPRESSION_ZLIB, HEADER.compressionType);
  }
  return header;
}
