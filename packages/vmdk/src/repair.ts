import { errorKind, type ImageFile, type Patch } from '@polyvisor/core';
import { readHeader, type DescribedHeader, isMarker } from './header-reader.js';
import { DIRECTORY_IN_FOOTER, HEADER, MAGIC, MARKER, MARKER_TYPE, NEWLINES, SECTOR, TAIL_SIZE } from './layout.js';
import { overlaid } from './overlaid.js';
import { readAt } from './refusal.js';
import { mendDirectories } from './repair-directories.js';
import { isSoundDirectory } from './sound-directory.js';

/**
 * Mends what a sparse VMDK keeps twice: header and footer of a stream, the grain directory and its copy; and clears the mark of an
 * unclean shutdown. The parts of a split disk are files of their own, and not changed. A file that went through a transfer in text
 * mode is left alone: its data is damaged too.
 */
export async function* repairVmdk(file: ImageFile, signal: AbortSignal): AsyncGenerator<Patch> {
  if (file.size < HEADER.size) return;
  const bytes = await readAt(file, 0, HEADER.size, 'the header');
  const ends = await mendEnds(file, bytes, signal);
  yield* ends;
  const mended = overlaid(file, ends);
  const header = await attempt(() => readHeader(mended, 'whole'));
  if (header === undefined) return;
  const fields = await readAt(mended, 0, HEADER.size, 'the header');
  yield* mendDirectories(mended, fields, header, signal);
  if (header.unclean)
    yield {
      offset: HEADER.uncleanShutdown,
      bytes: Uint8Array.of(0),
      reason: 'the disk was marked as not closed cleanly; the mark is cleared',
    };
}

/** Header and footer of a stream: one is made of the other when only one of them leads to a sound disk. */
async function mendEnds(file: ImageFile, header: Buffer, signal: AbortSignal): Promise<readonly Patch[]> {
  const at = file.size - TAIL_SIZE;
  if (at < HEADER.size || file.size % SECTOR !== 0 || (await leadsToDisk(file, signal))) return [];
  const tail = await readAt(file, at, TAIL_SIZE, 'the footer');
  const footer = tail.subarray(SECTOR, SECTOR + HEADER.size);
  const markers: Patch[] = [];
  const wantMarker = (offset: number, type: number, value: bigint, reason: string) => {
    if (!isMarker(tail.subarray(offset), type, value))
      markers.push({ offset: at + offset, bytes: marker(type, value), reason });
  };
  wantMarker(0, MARKER_TYPE.footer, 1n, 'the marker before the footer was damaged');
  wantMarker(2 * SECTOR, MARKER_TYPE.endOfStream, 0n, 'the marker at the end of the stream was damaged');
  const candidates: Patch[][] = [];
  // Of a file without anything like a footer, no markers are made.
  if (footer.readUInt32LE(HEADER.magic) === MAGIC) {
    candidates.push([...markers]);
    if (footer.readUInt32LE(HEADER.newlines) === NEWLINES && header.readUInt32LE(HEADER.newlines) === NEWLINES) {
      const copy = Buffer.from(footer);
      copy.writeBigUInt64LE(DIRECTORY_IN_FOOTER, HEADER.directory);
      candidates.push([
        ...markers,
        { offset: 0, bytes: copy, reason: 'the header was damaged; it is made of the footer' },
      ]);
    }
  }
  if (header.readBigUInt64LE(HEADER.directory) === DIRECTORY_IN_FOOTER) {
    const copy = Buffer.from(header);
    // Only the footer knows where the directory is.
    footer.copy(copy, HEADER.directory, HEADER.directory, HEADER.directory + 8);
    candidates.push([
      ...markers,
      { offset: at + SECTOR, bytes: copy, reason: 'the footer was damaged; it is made of the header' },
    ]);
  }
  for (const patches of candidates) {
    if (patches.length > 0 && (await leadsToDisk(overlaid(file, patches), signal))) return patches;
  }
  return [];
}

/** Whether header, descriptor, footer and directory agree with each other. */
async function leadsToDisk(file: ImageFile, signal: AbortSignal): Promise<boolean> {
  const header = await attempt(() => readHeader(file, 'whole'));
  if (header === undefined) return false;
  if (!header.directoryInFooter) return true; // its directories are looked at by themselves
  return isSoundDirectory(file, header, header.directory, signal);
}

function marker(type: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(SECTOR);
  bytes.writeBigUInt64LE(value, MARKER.value);
  bytes.writeUInt32LE(type, MARKER.type);
  return bytes;
}

/** Undefined where the image is refused: what cannot be read cannot be mended without guessing. */
async function attempt(work: () => Promise<DescribedHeader>): Promise<DescribedHeader | undefined> {
  try {
    return await work();
  } catch (error) {
    if (errorKind(error) === 'format') return undefined;
    throw error;
  }
}
