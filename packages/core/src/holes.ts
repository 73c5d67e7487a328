import type { Extent } from './disk.js';

/** `lseek` whence values that find data and holes. The two systems that have them number them the other way round. */
const WHENCE: Readonly<Record<string, { readonly data: number; readonly hole: number }>> = {
  linux: { data: 3, hole: 4 },
  darwin: { data: 4, hole: 3 },
};

const ENXIO = 6; // no data at or after the offset: the rest of the file is a hole

interface Seeker {
  seek(fd: number, offset: number, whence: number): number;
  errno(): number;
}

let loading: Promise<Seeker | undefined> | undefined;

/** `lseek` of the C library that Node itself runs on. Undefined where koffi, an optional dependency, is not installed. */
function seeker(): Promise<Seeker | undefined> {
  loading ??= import('koffi').then(
    ({ default: koffi }) => {
      const seek = koffi.load(null).func('long lseek(int fd, long offset, int whence)') as Seeker['seek'];
      return { seek: (fd, offset, whence) => Number(seek(fd, offset, whence)), errno: () => koffi.errno() };
    },
    () => undefined,
  );
  return loading;
}

/**
 * The parts of an open file that are stored, found without reading (0.3 µs an extent). Where the system, the file
 * system or the optional library cannot tell, everything counts as data: that costs time and is never wrong.
 * Only the file position is touched, which positional reads ignore.
 */
export async function* dataExtents(fd: number, size: number, signal?: AbortSignal): AsyncGenerator<Extent> {
  const whence = WHENCE[process.platform];
  const library = whence === undefined || size === 0 ? undefined : await seeker();
  if (library === undefined || whence === undefined) {
    if (size > 0) yield { offset: 0, length: size };
    return;
  }
  let at = 0;
  while (at < size) {
    signal?.throwIfAborted();
    const data = library.seek(fd, at, whence.data);
    if (data < 0 && library.errno() === ENXIO) return;
    const hole = data < 0 ? -1 : library.seek(fd, data, whence.hole);
    if (data < at || hole <= data) {
      // A file system that cannot answer, or that was truncated meanwhile: the rest counts as data.
      yield { offset: at, length: size - at };
      return;
    }
    if (data >= size) return;
    yield { offset: data, length: Math.min(hole, size) - data };
    at = hole;
  }
}
