import {
  type Booter,
  DefinitionError,
  type DiskConverter,
  type Emit,
  type ImageFile,
  type PluginContext,
  type Provisioner,
  suggest,
} from '@polyvisor/core';
import { z } from 'zod';
import type { Commands } from './commands.js';
import { createContext } from './context.js';
import type { Contribution, Contributions, Kind } from './contributions.js';
import { type Recognition, recogniseFormat } from './detect.js';
import type { Origin } from './discovery.js';
import { inject, injectable } from './injection.js';
import type { LoadedPlugin } from './load.js';
import { COMMANDS, CONTRIBUTIONS, EMIT, PLUGINS } from './tokens.js';

/** A plugin and all that it brings, as plain data: what `polyvisor plugins` prints. */
export interface PluginDescription {
  readonly name: string;
  readonly package: string;
  readonly version: string | undefined;
  readonly origin: Origin;
  /** Address of its module. */
  readonly entry: string;
  readonly converters: readonly ContributionDescription[];
  readonly provisioners: readonly ContributionDescription[];
  readonly booters: readonly ContributionDescription[];
}

export interface ContributionDescription {
  readonly id: string;
  readonly summary: string;
  /** Of a converter, with the dot. */
  readonly extension?: string;
  readonly capabilities: object;
  /** JSON Schema of its options; absent when it has none to offer. */
  readonly options?: object;
}

/** Everything that the loaded plugins can do. Disposing it stops every program that they still run. */
export interface Host extends AsyncDisposable {
  converters(): readonly DiskConverter[];
  provisioners(): readonly Provisioner[];
  booters(): readonly Booter[];
  /** Throws a `DefinitionError` that lists the known ids; so do the next two. */
  converter(id: string): DiskConverter;
  provisioner(id: string): Provisioner;
  booter(id: string): Booter;
  plugins(): readonly PluginDescription[];
  /** The converter that reads a file: the one named by `from`, or the one that recognises it. Notes on that become events. */
  detect(file: ImageFile, from?: string): Promise<DiskConverter>;
  /** The same with the notes, for who shows them. */
  recognise(file: ImageFile, from?: string): Promise<Recognition>;
  /** A log, and programs that end with the run, for what the command itself does; as plugins get them. */
  context(name: string): PluginContext;
}

@injectable()
export class PluginHost implements Host {
  readonly #plugins: readonly LoadedPlugin[];
  readonly #contributions: Contributions;
  readonly #commands: Commands;
  readonly #emit: Emit;

  constructor(
    @inject(PLUGINS) plugins: readonly LoadedPlugin[],
    @inject(CONTRIBUTIONS) contributions: Contributions,
    @inject(COMMANDS) commands: Commands,
    @inject(EMIT) emit: Emit,
  ) {
    this.#plugins = plugins;
    this.#contributions = contributions;
    this.#commands = commands;
    this.#emit = emit;
  }

  converters(): readonly DiskConverter[] {
    return values(this.#contributions.converters());
  }

  provisioners(): readonly Provisioner[] {
    return values(this.#contributions.provisioners());
  }

  booters(): readonly Booter[] {
    return values(this.#contributions.booters());
  }

  converter(id: string): DiskConverter {
    return byId('converter', id, this.converters());
  }

  provisioner(id: string): Provisioner {
    return byId('provisioner', id, this.provisioners());
  }

  booter(id: string): Booter {
    return byId('booter', id, this.booters());
  }

  plugins(): readonly PluginDescription[] {
    const converters = this.#contributions.converters();
    const provisioners = this.#contributions.provisioners();
    const booters = this.#contributions.booters();
    const of = <T extends Describable>(loaded: LoadedPlugin, all: readonly Contribution<T>[]) =>
      all.filter(({ plugin }) => plugin === loaded).map(({ value }) => describe(value));
    return this.#plugins.map((loaded) => ({
      name: loaded.plugin.name,
      package: loaded.package,
      version: loaded.version,
      origin: loaded.origin,
      entry: loaded.entry.href,
      converters: of(loaded, converters),
      provisioners: of(loaded, provisioners),
      booters: of(loaded, booters),
    }));
  }

  async detect(file: ImageFile, from?: string): Promise<DiskConverter> {
    const { converter, notes } = await this.recognise(file, from);
    for (const message of notes) this.#emit({ type: 'log', level: 'info', scope: 'format', message });
    return converter;
  }

  async recognise(file: ImageFile, from?: string): Promise<Recognition> {
    if (from !== undefined) return { converter: this.converter(from), notes: [] };
    return recogniseFormat(file, this.converters());
  }

  context(name: string): PluginContext {
    return createContext(name, this.#commands, this.#emit);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#commands[Symbol.asyncDispose]();
  }
}

function values<T>(contributions: readonly Contribution<T>[]): readonly T[] {
  return contributions.map(({ value }) => value);
}

/** Code of the error, and the word that people use for each kind. */
const UNKNOWN: Readonly<Record<Kind, { readonly code: string; readonly word: string }>> = {
  converter: { code: 'format-unknown', word: 'format' },
  provisioner: { code: 'provisioner-unknown', word: 'provisioner' },
  booter: { code: 'booter-unknown', word: 'booter' },
};

function byId<T extends { readonly id: string }>(kind: Kind, id: string, all: readonly T[]): T {
  const found = all.find((one) => one.id === id);
  if (found !== undefined) return found;
  const { code, word } = UNKNOWN[kind];
  const known = all.map((one) => one.id);
  const meant = suggest(id, known);
  throw new DefinitionError(code, `there is no ${word} ${id}; known: ${known.join(', ') || 'none'}`, {
    hint:
      meant === undefined ? 'a plugin may bring it: see `polyvisor plugins` and --plugin' : `did you mean ${meant}?`,
  });
}

interface Describable {
  readonly id: string;
  readonly summary: string;
  readonly capabilities: object;
  readonly extension?: string;
  readonly options?: z.ZodType;
}

function describe({ id, summary, extension, capabilities, options }: Describable): ContributionDescription {
  return {
    id,
    summary,
    ...(extension === undefined ? {} : { extension }),
    capabilities,
    ...(options === undefined ? {} : { options: optionsSchema(options) }),
  };
}

/** JSON Schema of what a person may write as options: before defaults and conversions. */
export function optionsSchema(options: z.ZodType): object {
  return z.toJSONSchema(options, { io: 'input', unrepresentable: 'any' });
}
