/** What is used of the system's libzstd. All calls run on the thread pool; codes are the library's own. */
export interface ZstdLibrary {
  /** Longest result for `length` bytes. */
  bound(length: number): number;
  compress(into: Uint8Array, bytes: Uint8Array, level: number): Promise<number>;
  /** Whole frames only; never writes beyond `into`. */
  decompress(into: Uint8Array, bytes: Uint8Array): Promise<number>;
  stream(maxWindowLog: number): ZstdLibraryStream;
}

export interface ZstdLibraryStream {
  decompress(into: Uint8Array, bytes: Uint8Array): Promise<{ readonly written: number; readonly read: number }>;
  free(): void;
}

/** Number of `ZSTD_d_windowLogMax` among the library's stable parameters. */
const WINDOW_LOG_MAX = 100;

const NAMES: Readonly<Record<string, string>> = { linux: 'libzstd.so.1', darwin: 'libzstd.1.dylib' };

type Native = ((...parameters: unknown[]) => unknown) & { async: (...parameters: unknown[]) => void };

let loading: Promise<ZstdLibrary | undefined> | undefined;

/** Undefined where koffi, an optional dependency, or the library is not installed. */
export function zstdLibrary(): Promise<ZstdLibrary | undefined> {
  loading ??= load().catch(() => undefined);
  return loading;
}

async function load(): Promise<ZstdLibrary> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load(NAMES[process.platform] ?? 'libzstd');
  const buffer = { size: 'size_t', pos: 'size_t' };
  const input = koffi.struct({ data: 'const void *', ...buffer });
  const output = koffi.struct({ data: 'void *', ...buffer });
  const define = (name: string, result: string, parameters: unknown[]) =>
    library.func(name, result, parameters as never) as unknown as Native;
  const bound = define('ZSTD_compressBound', 'size_t', ['size_t']);
  const isError = define('ZSTD_isError', 'unsigned int', ['size_t']);
  const errorName = define('ZSTD_getErrorName', 'const char *', ['size_t']);
  const compress = define('ZSTD_compress', 'size_t', ['void *', 'size_t', 'const void *', 'size_t', 'int']);
  const decompress = define('ZSTD_decompress', 'size_t', ['void *', 'size_t', 'const void *', 'size_t']);
  const create = define('ZSTD_createDCtx', 'void *', []);
  const free = define('ZSTD_freeDCtx', 'size_t', ['void *']);
  const setParameter = define('ZSTD_DCtx_setParameter', 'size_t', ['void *', 'int', 'int']);
  const decompressStream = define('ZSTD_decompressStream', 'size_t', [
    'void *',
    koffi.inout(koffi.pointer(output)),
    koffi.inout(koffi.pointer(input)),
  ]);

  const call = async (native: Native, ...parameters: unknown[]): Promise<number> => {
    const result = await new Promise<number | bigint>((resolve, reject) => {
      native.async(...parameters, (error: unknown, value: number | bigint) => {
        if (error) reject(error instanceof Error ? error : new Error('libzstd could not be called'));
        else resolve(value);
      });
    });
    if (isError(result) !== 0) throw new Error(String(errorName(result)));
    return Number(result);
  };

  return {
    bound: (length) => Number(bound(length)),
    compress: (into, bytes, level) => call(compress, into, into.length, bytes, bytes.length, level),
    decompress: (into, bytes) => call(decompress, into, into.length, bytes, bytes.length),
    stream: (maxWindowLog) => {
      const context = create();
      setParameter(context, WINDOW_LOG_MAX, maxWindowLog);
      return {
        decompress: async (into, bytes) => {
          const out = { data: into, size: into.length, pos: 0 };
          const from = { data: bytes, size: bytes.length, pos: 0 };
          await call(decompressStream, context, out, from);
          return { written: Number(out.pos), read: Number(from.pos) };
        },
        free: () => void free(context),
      };
    },
  };
}
