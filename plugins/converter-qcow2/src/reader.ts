import {
  clipExtents,
  type Detection,
  type DiskSource,
  expectParent,
  type Extent,
  type ImageFile,
  type OpenImage,
  parentMissing,
  type ReadOptions,
  readPadded,
  unionExtents,
  unreadableDisk,
} from '@polyvisor/core';
import { bitmapCount } from './bitmaps.js';
import { ClusterMap } from './cluster-map.js';
import { CompressedClusters, type Wanted } from './compressed-clusters.js';
import { type Header, headerFacts, readHeader } from './header.js';
import { MAGIC } from './layout.js';
import { listSnapshots } from './snapshots.js';

export async function detectQcow2(file: ImageFile): Promise<Detection> {
  if (file.size < 8) return 'no';
  const start = Buffer.alloc(8);
  await file.read(start, 0);
  if (start.readUInt32BE(0) !== MAGIC) return 'no';
  return [2, 3].includes(start.readUInt32BE(4)) ? 'yes' : 'maybe';
}

export async function openQcow2(file: ImageFile, { parent }: ReadOptions = {}): Promise<OpenImage> {
  const header = await readHeader(file);
  const snapshots = await listSnapshots(file, header.fields);
  const bitmaps = bitmapCount(header.fields, header.extensions);
  const about = {
    facts: headerFacts(header),
    snapshots,
    warnings: [...header.warnings, ...(bitmaps === 0 ? [] : [`${bitmaps} persistent bitmaps are not carried over`])],
  };
  if (header.parent === undefined) return { ...about, disk: await openDisk(file, header, undefined) };
  if (parent === undefined) {
    // The tables are checked all the same: `inspect` should not praise what cannot be read.
    await ClusterMap.open(file, header);
    return {
      ...about,
      parent: header.parent,
      disk: unreadableDisk(header.size, parentMissing(file, header.parent)),
    };
  }
  expectParent(file, header.parent, parent);
  return { ...about, parent: header.parent, disk: await openDisk(file, header, parent.disk) };
}

async function openDisk(file: ImageFile, header: Header, parent: DiskSource | undefined): Promise<DiskSource> {
  const map = await ClusterMap.open(file, header);
  const compressed = new CompressedClusters(file, header);
  return {
    size: header.size,
    extents: (signal) => {
      const own = dataExtents(map, header.size, signal);
      return parent === undefined ? own : unionExtents(own, clipExtents(parent.extents(signal), header.size));
    },
    read: (into, offset) => readGuest({ file, map, compressed, parent, size: header.size }, into, offset),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function* dataExtents(map: ClusterMap, size: number, signal?: AbortSignal): AsyncGenerator<Extent> {
  let start = -1;
  for (let offset = 0; offset < size;) {
    signal?.throwIfAborted();
    const { kind, length } = await map.run(offset, size - offset);
    const holdsData = kind === 'plain' || kind === 'compressed';
    if (holdsData && start < 0) start = offset;
    if (!holdsData && start >= 0) {
      yield { offset: start, length: offset - start };
      start = -1;
    }
    offset += length;
  }
  if (start >= 0) yield { offset: start, length: size - start };
}

interface Guest {
  readonly file: ImageFile;
  readonly map: ClusterMap;
  readonly compressed: CompressedClusters;
  readonly parent: DiskSource | undefined;
  readonly size: number;
}

async function readGuest(guest: Guest, into: Uint8Array, offset: number): Promise<void> {
  const { file, map, compressed, parent, size } = guest;
  if (offset < 0 || offset + into.length > size) {
    throw new RangeError(`read of ${into.length} bytes at ${offset}, the disk has ${size}`);
  }
  const work: Promise<void>[] = [];
  const wanted: Wanted[] = [];
  for (let done = 0; done < into.length;) {
    const run = await map.run(offset + done, into.length - done).catch(async (error: unknown) => {
      await Promise.allSettled(work); // nothing is written into the caller's buffer afterwards
      throw error;
    });
    const part = into.subarray(done, done + run.length);
    if (run.kind === 'plain') {
      // Clusters that follow each other in the file are one run. A last one that is cut short ends in zeros.
      work.push(readPadded(file, part, run.host));
    } else if (run.kind === 'compressed') {
      const from = (offset + done) % map.clusterSize;
      wanted.push({ host: run.host, span: run.span, into: part, from });
    } else if (run.kind === 'unallocated' && parent !== undefined) {
      work.push(readPadded(parent, part, offset + done));
    } else {
      part.fill(0);
    }
    done += run.length;
  }
  work.push(compressed.read(wanted));
  const results = await Promise.allSettled(work);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
