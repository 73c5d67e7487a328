import { UNIX_SECONDS_OF_2000 } from '@polyvisor/core';
import { checksum } from './checksum.js';
import { geometryOf } from './geometry.js';
import { DISK_TYPE, FEATURES_RESERVED, FOOTER, FOOTER_COOKIE, NO_OFFSET, VERSION_1_0 } from './layout.js';

/** Who says to have made a disk, and when. Consumers change their behaviour by the creator. */
export interface Stamp {
  /** Four ASCII characters, such as `win `; shorter ones are padded with NUL. */
  readonly creatorApplication: string;
  /** Major version in the upper 16 bits, minor in the lower. */
  readonly creatorVersion: number;
  /** Four ASCII characters, or empty for zero. */
  readonly creatorHostOs: string;
  /** In seconds since the Unix epoch; times outside of what the format holds (from 2000 to 2136) are moved to its limits. */
  readonly time: number;
  /** In the usual notation, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`; not null. */
  readonly uuid: string;
}

/** `size`: of the virtual disk, in bytes. `dataOffset`: of the dynamic header; absent for a fixed disk. */
export function encodeFooter(stamp: Stamp, size: number, dataOffset?: number): Buffer {
  const footer = Buffer.alloc(FOOTER.size);
  const { cylinders, heads, sectorsPerTrack } = geometryOf(size);
  footer.write(FOOTER_COOKIE, FOOTER.cookie, 'latin1');
  footer.writeUInt32BE(FEATURES_RESERVED, FOOTER.features);
  footer.writeUInt32BE(VERSION_1_0, FOOTER.version);
  footer.writeBigUInt64BE(dataOffset === undefined ? NO_OFFSET : BigInt(dataOffset), FOOTER.dataOffset);
  footer.writeUInt32BE(Math.min(Math.max(0, stamp.time - UNIX_SECONDS_OF_2000), 0xffff_ffff), FOOTER.timestamp);
  footer.write(stamp.creatorApplication, FOOTER.creatorApplication, 4, 'latin1');
  footer.writeUInt32BE(stamp.creatorVersion, FOOTER.creatorVersion);
  footer.write(stamp.creatorHostOs, FOOTER.creatorHostOs, 4, 'latin1');
  footer.writeBigUInt64BE(BigInt(size), FOOTER.originalSize);
  footer.writeBigUInt64BE(BigInt(size), FOOTER.currentSize);
  footer.writeUInt16BE(cylinders, FOOTER.cylinders);
  footer.writeUInt8(heads, FOOTER.heads);
  footer.writeUInt8(sectorsPerTrack, FOOTER.sectorsPerTrack);
  footer.writeUInt32BE(dataOffset === undefined ? DISK_TYPE.fixed : DISK_TYPE.dynamic, FOOTER.diskType);
  footer.write(stamp.uuid.replaceAll('-', ''), FOOTER.uniqueId, 'hex');
  footer.writeUInt32BE(checksum(footer, FOOTER.checksum), FOOTER.checksum);
  return footer;
}
