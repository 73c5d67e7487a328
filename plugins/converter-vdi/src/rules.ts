import type { Finding } from '@polyvisor/core';
import type { Fields } from './fields.js';
import { isPowerOfTwo } from './header.js';
import {
  DEFAULT_BLOCK_SIZE,
  ENTRY_SIZE,
  FLAG_ZERO_EXPAND,
  HEADER_1,
  HEADER_SIZE,
  IMAGE_TYPE,
  MAX_BLOCK_SIZE,
  MAX_BLOCKS,
  MIN_BLOCK_SIZE,
  PRELUDE,
  VERSION_0_2,
  VERSION_1_1,
} from './layout.js';
import { NULL_UUID } from './uuid.js';

/** Who loads VDI at all: VirtualBox's own rules (VDI.cpp, `vdiValidateHeader`), and those of QEMU's driver. */
export const CONSUMERS = ['virtualbox', 'kvm'] as const;

const VIRTUALBOX = ['virtualbox'] as const;
const QEMU = ['kvm'] as const;
const SECTOR = 512;

/** Every rule that the header alone breaks. */
export function* headerFindings(fields: Fields): Generator<Finding> {
  yield* identityFindings(fields);
  yield* typeFindings(fields);
  yield* sizeFindings(fields);
  yield* placeFindings(fields);
}

function* identityFindings({ version, headerSize, places, imageId, modificationId }: Fields): Generator<Finding> {
  if (version === VERSION_0_2) {
    yield {
      rule: 'vdi-version-old',
      severity: 'warning',
      message: 'the image is of version 0.2, from before 2007',
      refusedBy: QEMU,
      offset: PRELUDE.version,
      expected: '1.1',
      found: '0.2',
      hint: 'convert it to vdi again',
    };
  } else if (version !== VERSION_1_1) {
    yield {
      rule: 'vdi-version-minor',
      severity: 'error',
      message: 'the version has a minor number that nobody defined',
      refusedBy: QEMU,
      offset: PRELUDE.version,
      expected: '1.1',
      found: `1.${version & 0xffff}`,
    };
  }
  if (headerSize !== undefined && headerSize < HEADER_SIZE.plain) {
    yield {
      rule: 'vdi-header-size',
      severity: 'error',
      message: 'the header says that it is shorter than its version is',
      refusedBy: VIRTUALBOX,
      offset: HEADER_1.headerSize,
      expected: `${HEADER_SIZE.plain} or more`,
      found: `${headerSize}`,
    };
  }
  for (const [name, value, offset] of [
    ['image', imageId, places.imageId],
    ['modification', modificationId, places.modificationId],
  ] as const) {
    if (value !== NULL_UUID) continue;
    yield {
      rule: `vdi-${name}-uuid-null`,
      severity: 'error',
      message: `the ${name} UUID is all zero`,
      refusedBy: VIRTUALBOX,
      offset,
      expected: 'any other UUID',
      found: NULL_UUID,
    };
  }
}

function* typeFindings(fields: Fields): Generator<Finding> {
  const { type, flags, places, linkId, parentModificationId } = fields;
  if (type < IMAGE_TYPE.dynamic || type > IMAGE_TYPE.differencing) {
    yield {
      rule: 'vdi-type',
      severity: 'error',
      message: 'the image is of no known type',
      refusedBy: VIRTUALBOX,
      offset: places.type,
      expected: '1 (dynamic) to 4 (differencing)',
      found: `${type}`,
    };
  }
  if ((flags & ~FLAG_ZERO_EXPAND) !== 0) {
    yield {
      rule: 'vdi-flags',
      severity: 'error',
      message: 'unknown flags are set',
      refusedBy: VIRTUALBOX,
      offset: places.flags,
      expected: '0 or 1',
      found: `0x${flags.toString(16)}`,
    };
  }
  const differencing = type === IMAGE_TYPE.undo || type === IMAGE_TYPE.differencing;
  const linked = linkId !== NULL_UUID || parentModificationId !== NULL_UUID;
  if (differencing && linkId === NULL_UUID) {
    yield {
      rule: 'vdi-link-missing',
      severity: 'error',
      message: 'the image needs a parent and does not say which',
      refusedBy: VIRTUALBOX,
      offset: places.linkId,
      expected: 'the UUID of the parent',
      found: NULL_UUID,
    };
  } else if (differencing) {
    yield {
      rule: 'vdi-parent',
      severity: 'warning',
      message: 'the rest of the disk is in a parent image, and QEMU follows no parents of a VDI',
      refusedBy: QEMU,
      offset: places.linkId,
      found: linkId,
      hint: 'convert it with --parent into an image of its own',
    };
  } else if (linked) {
    yield {
      rule: 'vdi-link-unexpected',
      severity: 'warning',
      message: 'the image names a parent although it is of a type that has none',
      refusedBy: QEMU,
      offset: places.linkId,
      expected: NULL_UUID,
      found: linkId === NULL_UUID ? parentModificationId : linkId,
    };
  }
}

function* sizeFindings(fields: Fields): Generator<Finding> {
  const { places, diskSize, blockSize, blockExtra, blocks, legacySectorSize, logicalSectorSize } = fields;
  const powers = `a power of two, ${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}`;
  if (!isPowerOfTwo(blockSize)) {
    const refusedBy = CONSUMERS;
    const message = 'the block size is not a power of two';
    yield at('vdi-block-size', message, refusedBy, places.blockSize, powers, blockSize);
  } else if (blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE) {
    yield at('vdi-block-size', 'the block size is absurd', QEMU, places.blockSize, powers, blockSize);
  } else if (blockSize !== DEFAULT_BLOCK_SIZE) {
    const message = 'the block size is one that only VirtualBox reads';
    yield {
      ...at('vdi-block-size-foreign', message, QEMU, places.blockSize, `${DEFAULT_BLOCK_SIZE}`, blockSize),
      severity: 'warning',
    };
  }
  if (blockExtra !== 0 && (!isPowerOfTwo(blockExtra) || blockExtra > MAX_BLOCK_SIZE)) {
    const message = 'the number of extra bytes of a block is not a power of two';
    yield at('vdi-block-extra', message, VIRTUALBOX, HEADER_1.blockExtra, '0', blockExtra);
  } else if (blockExtra !== 0) {
    const message = 'blocks have extra bytes, which QEMU takes for data of the disk';
    yield { ...at('vdi-block-extra-ignored', message, [], HEADER_1.blockExtra, '0', blockExtra), severity: 'warning' };
  }
  if (diskSize === 0n || blocks === 0) {
    const message = 'the disk is empty';
    yield at('vdi-disk-empty', message, VIRTUALBOX, places.diskSize, '512 bytes or more', diskSize);
  } else if (diskSize % BigInt(SECTOR) !== 0n) {
    const message = 'the size of the disk is not a whole number of sectors; VirtualBox rounds it down, QEMU up';
    const expected = `a multiple of ${SECTOR}`;
    yield { ...at('vdi-disk-size-odd', message, [], places.diskSize, expected, diskSize), severity: 'warning' };
  }
  const covered = BigInt(blocks) * BigInt(blockSize);
  if (covered < diskSize) {
    const message = 'the map has too few entries for the disk';
    const needed = isPowerOfTwo(blockSize) ? (diskSize + BigInt(blockSize) - 1n) / BigInt(blockSize) : 'more';
    yield at('vdi-map-too-short', message, CONSUMERS, places.blocks, `${needed}`, blocks);
  } else if (blockSize > 0 && covered - diskSize >= BigInt(blockSize)) {
    const needed = (diskSize + BigInt(blockSize) - 1n) / BigInt(blockSize);
    const message = 'the map has more entries than the disk has blocks';
    yield { ...at('vdi-map-surplus', message, [], places.blocks, `${needed}`, blocks), severity: 'warning' };
  }
  if (blocks > MAX_BLOCKS) {
    const message = 'the map is longer than QEMU reads';
    yield {
      ...at('vdi-map-too-long', message, QEMU, places.blocks, `at most ${MAX_BLOCKS}`, blocks),
      severity: 'warning',
    };
  }
  if (legacySectorSize !== SECTOR) {
    const message = 'the sector size of the old geometry is another one';
    yield at('vdi-legacy-sector-size', message, QEMU, places.legacySectorSize, `${SECTOR}`, legacySectorSize);
  }
  if (logicalSectorSize !== undefined && logicalSectorSize !== SECTOR) {
    const message = 'the sector size of the geometry is another one';
    yield at('vdi-sector-size', message, VIRTUALBOX, HEADER_1.logicalSectorSize, `${SECTOR}`, logicalSectorSize);
  }
}

function* placeFindings({ version, places, mapOffset, dataOffset, blocks, allocated }: Fields): Generator<Finding> {
  if (allocated > blocks) {
    const message = 'more blocks are said to be stored than the disk has';
    yield at('vdi-allocated-excess', message, VIRTUALBOX, places.allocated, `at most ${blocks}`, allocated);
  }
  if (version === VERSION_0_2) return; // the places follow from the numbers
  if (mapOffset < places.end) {
    const message = 'the map lies over the header';
    yield at('vdi-map-offset', message, VIRTUALBOX, HEADER_1.mapOffset, `${places.end} or more`, mapOffset);
  } else if (mapOffset % SECTOR !== 0) {
    const message = 'the map does not start at a whole sector';
    yield at('vdi-map-alignment', message, QEMU, HEADER_1.mapOffset, `a multiple of ${SECTOR}`, mapOffset);
  }
  const mapEnd = mapOffset + blocks * ENTRY_SIZE;
  if (dataOffset < mapEnd) {
    const message = 'the data lies over the map';
    yield at('vdi-data-offset', message, VIRTUALBOX, HEADER_1.dataOffset, `${mapEnd} or more`, dataOffset);
  } else if (dataOffset % SECTOR !== 0) {
    const message = 'the data does not start at a whole sector';
    yield at('vdi-data-alignment', message, QEMU, HEADER_1.dataOffset, `a multiple of ${SECTOR}`, dataOffset);
  }
}

function at(
  rule: string,
  message: string,
  refusedBy: readonly string[],
  offset: number,
  expected: string,
  found: number | bigint,
): Finding {
  return { rule, severity: 'error', message, refusedBy, offset, expected, found: `${found}` };
}
