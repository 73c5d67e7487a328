import type { Finding } from '@polyvisor/core';
import { error, warning } from './finding.js';
import {
  COMPRESSION_DEFLATE,
  ENTRIES_PER_TABLE,
  FLAG,
  HEADER,
  MAX_CAPACITY,
  MAX_DESCRIPTOR,
  NEWLINES,
  SECTOR,
} from './layout.js';

/** Largest grain that QEMU reads, in sectors. */
const QEMU_MAX_GRAIN = 0x20_0000n;

/** Room that VirtualBox takes for lines of its own, in sectors. */
const WANTED_DESCRIPTOR_SECTORS = 20n;

const KNOWN_FLAGS = FLAG.newlinesValid | FLAG.redundantTables | FLAG.zeroedGrains | FLAG.compressed | FLAG.markers;

/** Every rule about the fields of a sparse header, by themselves. The magic has been seen. */
export function* checkHeaderFields(header: Buffer, fileSize: number, role: 'whole' | 'part'): Generator<Finding> {
  const flags = header.readUInt32LE(HEADER.flags);
  const compressed = (flags & FLAG.compressed) !== 0;
  yield* checkVersion(header.readUInt32LE(HEADER.version), compressed);
  const newlines = header.readUInt32LE(HEADER.newlines);
  if (newlines !== NEWLINES)
    yield error('vmdk-newlines', 'the file went through a transfer in text mode, which damages data', ['virtualbox'], {
      offset: HEADER.newlines,
      expected: '0a 20 0d 0a',
      found: header.toString('hex', HEADER.newlines, HEADER.newlines + 4),
      hint: 'transfer the file again, in binary mode',
    });
  if ((flags & ~KNOWN_FLAGS) !== 0)
    yield error('vmdk-flags', 'there are unknown flags', [], {
      offset: HEADER.flags,
      expected: `none beyond 0x${KNOWN_FLAGS.toString(16)}`,
      found: `0x${flags.toString(16)}`,
    });
  if (compressed !== ((flags & FLAG.markers) !== 0))
    yield error('vmdk-flags', 'grains are compressed and have markers, or neither', ['esxi'], {
      offset: HEADER.flags,
      found: `0x${flags.toString(16)}`,
    });
  const compression = header.readUInt16LE(HEADER.compression);
  if (compressed && compression !== COMPRESSION_DEFLATE)
    yield error('vmdk-compression', 'the method of compression is unknown', ['virtualbox'], {
      offset: HEADER.compression,
      expected: `${COMPRESSION_DEFLATE} (deflate)`,
      found: `${compression}`,
    });
  yield* checkSizes(header);
  if (header.readUInt8(HEADER.uncleanShutdown) !== 0)
    yield warning('vmdk-unclean', 'the disk was not closed cleanly by the program that wrote it last', [], {
      offset: HEADER.uncleanShutdown,
      hint: '`polyvisor repair` clears the mark; let the guest check its file systems',
    });
  yield* checkPlaces(header, fileSize, role);
}

function* checkVersion(version: number, compressed: boolean): Generator<Finding> {
  const found = { offset: HEADER.version, expected: compressed ? '3' : '1', found: `${version}` };
  if (version < 1 || version > 3)
    yield error('vmdk-version', 'the version is unknown', ['kvm', 'esxi', 'virtualbox'], found);
  else if (compressed && version !== 3)
    yield warning(
      'vmdk-version',
      'a stream of this version is not deployed by ESXi',
      version === 2 ? ['esxi', 'virtualbox'] : ['esxi'],
      found,
    );
  else if (!compressed && version === 2)
    yield warning('vmdk-version', 'VirtualBox takes only versions 1 and 3', ['virtualbox'], found);
  else if (!compressed && version === 3)
    yield warning('vmdk-version', 'QEMU opens a sparse disk of this version for reading only', [], found);
}

function* checkSizes(header: Buffer): Generator<Finding> {
  const capacity = header.readBigUInt64LE(HEADER.capacity);
  const most = BigInt(MAX_CAPACITY / SECTOR);
  if (capacity === 0n || capacity > most)
    yield error('vmdk-capacity', 'the capacity is impossible', ['esxi', 'virtualbox'], {
      offset: HEADER.capacity,
      expected: `1 to ${most} sectors`,
      found: `${capacity}`,
      ...(capacity === 0n
        ? { hint: 'QEMU takes such a file for a descriptor and opens the files that it names: do not give it to QEMU' }
        : {}),
    });
  const grain = header.readBigUInt64LE(HEADER.grainSize);
  if (grain < 8n || grain > 2048n || (grain & (grain - 1n)) !== 0n)
    yield error(
      'vmdk-grain-size',
      'the size of grains is impossible',
      grain > QEMU_MAX_GRAIN ? ['kvm', 'virtualbox'] : ['virtualbox'],
      { offset: HEADER.grainSize, expected: 'a power of two, 8 to 2048 sectors', found: `${grain}` },
    );
  else if (grain === 8n)
    yield warning('vmdk-grain-size', "the format's text wants grains of more than 8 sectors", [], {
      offset: HEADER.grainSize,
      found: '8',
    });
  const entries = header.readUInt32LE(HEADER.entriesPerTable);
  if (entries !== ENTRIES_PER_TABLE)
    yield error('vmdk-table-size', 'grain tables have an unusual number of entries', entries > 512 ? ['kvm'] : [], {
      offset: HEADER.entriesPerTable,
      expected: `${ENTRIES_PER_TABLE}`,
      found: `${entries}`,
    });
}

function* checkPlaces(header: Buffer, fileSize: number, role: 'whole' | 'part'): Generator<Finding> {
  const at = header.readBigUInt64LE(HEADER.descriptorOffset);
  const length = header.readBigUInt64LE(HEADER.descriptorSize);
  const absent = at === 0n || length === 0n;
  if (!(absent && role === 'part')) {
    if (absent || length > MAX_DESCRIPTOR / SECTOR || (at + length) * 512n > fileSize)
      yield error('vmdk-descriptor-place', 'the descriptor is absent, too long or outside the file', ['virtualbox'], {
        offset: HEADER.descriptorOffset,
        expected: `at most ${MAX_DESCRIPTOR / SECTOR} sectors inside the file`,
        found: `${length} sectors from ${at} on`,
      });
    else if (role === 'whole' && length < WANTED_DESCRIPTOR_SECTORS)
      yield warning('vmdk-descriptor-room', 'VirtualBox has no room for the lines that it adds to the descriptor', [], {
        offset: HEADER.descriptorSize,
        expected: `${WANTED_DESCRIPTOR_SECTORS} sectors`,
        found: `${length}`,
      });
  }
  const overhead = header.readBigUInt64LE(HEADER.overhead);
  if (overhead < (absent ? 1n : at + length) || overhead * 512n > fileSize)
    yield warning(
      'vmdk-overhead',
      'the first grain is said to lie over the descriptor or behind the end',
      ['virtualbox'],
      {
        offset: HEADER.overhead,
        expected: `sector ${absent ? 1n : at + length} to ${Math.floor(fileSize / SECTOR)}`,
        found: `${overhead}`,
      },
    );
}
