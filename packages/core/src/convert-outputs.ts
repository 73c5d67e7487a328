import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import type { OutputFiles } from './converter.js';
import { type DeviceLayer, openDevice } from './device-output.js';
import type { DiskSink, ImageFile } from './disk.js';
import { DefinitionError, EnvironmentError } from './errors.js';
import { openImageFile, PLAIN_NAME } from './file.js';
import { commitOutputs, createOutput, type OutputFile, type Sparse } from './output.js';
import { streamOutput } from './stream-output.js';

/** Where an output goes: by default into a file, which appears under its name when all are finished. */
export type Destination =
  | { readonly kind: 'file' }
  /** Written as it is made; the converter must write front to back. */
  | { readonly kind: 'stream'; readonly stream: Writable }
  /** Overwritten in place. */
  | { readonly kind: 'device'; readonly layer?: DeviceLayer };

/** A file of a finished output. */
export interface OutputPart {
  readonly path: string;
  readonly bytes: number;
  readonly stored: number;
  /** Opens it under its temporary name; absent for what is gone. The caller disposes it. */
  readonly open?: () => Promise<ImageFile>;
  /** Where there is nothing to open: the hash that was taken on the way. */
  readonly sha256?: string;
}

/** All that one target writes. */
export interface Output {
  readonly sink: DiskSink;
  readonly files: OutputFiles;
  readonly destination: Destination['kind'];
  close(): Promise<void>;
  discard(): Promise<void>;
  /** The main file first, then those beside it. After `close`. */
  parts(): Promise<readonly OutputPart[]>;
  /** The main file with the ones beside it under their final names, for the reader of the format. */
  open(): Promise<ImageFile>;
}

/** The outputs of one conversion: no two have a name in common, and they get their names together. */
export class Outputs {
  readonly #force: boolean;
  readonly #sparse: Sparse;
  readonly #signal: AbortSignal;
  readonly #files: OutputFile[] = [];
  readonly #names = new Map<string, string>();

  constructor({ force, sparse, signal }: { force: boolean; sparse: Sparse; signal: AbortSignal }) {
    this.#force = force;
    this.#sparse = sparse;
    this.#signal = signal;
  }

  /** Takes a name for a format; two of the same are refused. */
  claim(path: string, format: string): void {
    const other = this.#names.get(resolve(path));
    if (other !== undefined) {
      throw new DefinitionError('output-twice', `${other} and ${format} would both be written to ${path}`, {
        hint: 'give them different names',
      });
    }
    this.#names.set(resolve(path), format);
  }

  async create(path: string, format: string, to: Destination, diskSize: number): Promise<Output> {
    const noBeside = (where: string): OutputFiles => ({
      name: basename(path),
      beside: (name) =>
        Promise.reject(
          new DefinitionError(
            'output-several-files',
            `${format} writes ${name} beside it, which ${where} has no room for`,
            {
              hint: 'write to a file, or choose options that make a single one',
            },
          ),
        ),
    });
    if (to.kind === 'stream') return streamTarget(streamOutput(to.stream, this.#signal), path, noBeside('a pipe'));
    if (to.kind === 'device') {
      const device = await openDevice(path, diskSize, this.#force, to.layer);
      const parts = async (): Promise<readonly OutputPart[]> => {
        await using file = await device.read();
        return [{ path, bytes: file.size, stored: file.size, open: () => device.read() }];
      };
      const quietly = () => device.close().catch(() => undefined);
      return {
        sink: device.sink,
        files: noBeside('a device'),
        destination: 'device',
        close: () => device.close(),
        discard: quietly,
        parts,
        open: () => device.read(),
      };
    }
    return this.#createFile(path, format);
  }

  async #createFile(path: string, format: string): Promise<Output> {
    const all: OutputFile[] = [];
    const add = async (one: string) => {
      const file = await createOutput(one, this.#force, this.#sparse);
      this.#files.push(file);
      all.push(file);
      return file.sink;
    };
    const sink = await add(path);
    const open = (file: OutputFile | undefined) => openPart(file?.partPath ?? '', file?.path ?? '', all);
    return {
      sink,
      destination: 'file',
      files: {
        name: basename(path),
        beside: async (name) => {
          if (!PLAIN_NAME.test(name)) throw new Error(`${format} wants to write to ${JSON.stringify(name)}`);
          this.claim(join(dirname(path), name), `${format} (${name})`);
          return add(join(dirname(path), name));
        },
      },
      close: async () => {
        for (const file of all) await file.close();
      },
      discard: async () => {
        for (const file of all) await file.discard();
      },
      parts: () =>
        Promise.all(
          all.map(async (file) => {
            const { size, blocks } = await stat(file.partPath);
            return { path: file.path, bytes: size, stored: blocks * 512, open: () => open(file) };
          }),
        ),
      open: () => open(all[0]),
    };
  }

  /** Gives every file its final name, or none. */
  async commit(): Promise<void> {
    await commitOutputs(this.#files, this.#force);
  }
}

function streamTarget(stream: ReturnType<typeof streamOutput>, path: string, files: OutputFiles): Output {
  const done = () => Promise.resolve();
  return {
    sink: stream.sink,
    files,
    destination: 'stream',
    close: done,
    discard: done,
    parts: () => {
      const bytes = stream.bytes();
      return Promise.resolve([{ path, bytes, stored: 0, sha256: stream.sha256() }]);
    },
    open: () => Promise.reject(new Error('what went into a pipe cannot be read back')),
  };
}

/** A file under its temporary name that finds the ones beside it, which have such names as well, by their final ones. */
async function openPart(partPath: string, path: string, all: readonly OutputFile[]): Promise<ImageFile> {
  const file = await openImageFile(partPath);
  return {
    ...file,
    path,
    beside: async (name) => {
      const other = all.find((one) => one.path === join(dirname(path), name));
      if (other === undefined)
        throw new EnvironmentError('file-missing', `${path} names ${JSON.stringify(name)}, which was not written`);
      return openPart(other.partPath, other.path, all);
    },
  };
}
