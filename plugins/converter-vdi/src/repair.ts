import { createIdentity, type ImageFile, type Patch, SECTOR_SIZE, seedOf } from '@polyvisor/core';
import { type Fields, hasSignature, isKnownVersion, readFields, readVersion } from './fields.js';
import { HEADER_1, HEADER_SIZE } from './layout.js';
import { canSurvey, surveyMap } from './map-survey.js';
import { encodeUuid, NULL_UUID } from './uuid.js';

/**
 * Mends what has one right value, or where any value is right. What a block of the disk holds that is stored twice or not at all,
 * or where a map or data should have been, nobody knows.
 */
export async function* repairVdi(file: ImageFile, signal: AbortSignal): AsyncGenerator<Patch> {
  if (!(await hasSignature(file)) || !isKnownVersion(await readVersion(file))) return;
  const fields = await readFields(file);
  if (fields === undefined) return;
  yield* numbers(fields);
  yield* identities(file, fields);
  if (!canSurvey(file, fields)) return;
  const { allocated, highest, duplicate, outside } = await surveyMap(file, fields, signal);
  // With gaps between the blocks, the true count would have VirtualBox allocate a block that is taken.
  if (allocated === fields.allocated || highest >= allocated || duplicate !== undefined || outside !== undefined)
    return;
  yield patch(
    fields.places.allocated,
    allocated,
    `the number of stored blocks was ${fields.allocated}, it is ${allocated}`,
  );
}

function* numbers({ places, headerSize, legacySectorSize, logicalSectorSize, diskSize }: Fields): Generator<Patch> {
  if (headerSize !== undefined && headerSize < HEADER_SIZE.plain) {
    yield patch(HEADER_1.headerSize, HEADER_SIZE.plain, `the header size was ${headerSize}, it is that of version 1.1`);
  }
  if (legacySectorSize !== SECTOR_SIZE) {
    yield patch(places.legacySectorSize, SECTOR_SIZE, 'the old geometry has sectors of 512 bytes, as every disk');
  }
  if (logicalSectorSize !== undefined && logicalSectorSize !== SECTOR_SIZE) {
    yield patch(HEADER_1.logicalSectorSize, SECTOR_SIZE, 'the geometry has sectors of 512 bytes, as every disk');
  }
  const rest = diskSize % BigInt(SECTOR_SIZE);
  if (rest !== 0n && diskSize > rest) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(diskSize - rest);
    yield {
      offset: places.diskSize,
      bytes,
      reason: 'the size of the disk is rounded down to whole sectors, as VirtualBox does',
    };
  }
}

/** Any UUID will do as long as it is not null; these depend on the file, so that two files do not get the same. */
async function* identities(file: ImageFile, { places, imageId, modificationId }: Fields): AsyncGenerator<Patch> {
  if (imageId !== NULL_UUID && modificationId !== NULL_UUID) return;
  const identity = createIdentity(await seedOf(file));
  for (const [name, value, offset] of [
    ['image', imageId, places.imageId],
    ['modification', modificationId, places.modificationId],
  ] as const) {
    if (value !== NULL_UUID) continue;
    const uuid = identity.uuid(`vdi ${name}`);
    yield { offset, bytes: encodeUuid(uuid), reason: `the ${name} UUID was all zero, it is ${uuid} now` };
  }
}

function patch(offset: number, value: number, reason: string): Patch {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return { offset, bytes, reason };
}
