import type { Emit } from '@polyvisor/core';
import type { Host, Project } from '@polyvisor/host';
import type { Io, Output } from './io.js';
import { createRenderer } from './render/create.js';
import type { Paint, Renderer } from './render/renderer.js';
import { OWN_PACKAGE } from './version.js';

/** Options that every command understands. */
export interface GlobalOptions {
  readonly plugin?: readonly string[] | undefined;
  readonly pluginDiscovery: boolean;
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  readonly color: boolean;
}

/** One run of one command: what it works with and where its answer goes. */
export interface Session extends AsyncDisposable {
  readonly io: Io;
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** Has every event of the run, those of plugins included, go to a listener too. Call what it returns to end that. */
  readonly observe: (listener: Emit) => () => void;
  readonly renderer: Renderer;
  /** The nearest `polyvisor.yaml`, or its defaults. Read once. */
  project(): Promise<Project>;
  /** The plugins, loaded when first asked for and stopped when the session ends. */
  host(): Promise<Host>;
  /** From now on these values are shown nowhere. */
  hide(secrets: readonly string[]): Promise<void>;
  /** Gives the answer: a value for machines, a text for people, and how to paint that on a terminal. */
  answer(value: object, text: string, paint?: Paint): void;
  /** From now on standard output carries an image: answers go to stderr. */
  yieldStdout(): void;
  /** The question was answered with no: exit code 1. */
  answeredNo: boolean;
}

/** Loading the host takes longer than printing help, so it is left until it is wanted. */
export function createSession(io: Io, options: GlobalOptions): Session {
  let redact = (text: string) => text;
  let project: Promise<Project> | undefined;
  let host: Promise<Host> | undefined;
  const { env } = io;
  const coloured = ({ isTTY }: Output) =>
    options.color && !env['NO_COLOR'] && (isTTY === true || Boolean(env['FORCE_COLOR']));
  let answers = io.stdout;
  const stdout = { write: (text: string) => answers.write(text) } as unknown as typeof io.stdout;
  const renderer = createRenderer(
    {
      stdout,
      stderr: io.stderr,
      verbosity: options.quiet ? 'quiet' : options.verbose ? 'verbose' : 'normal',
      color: coloured(io.stderr),
      answerColor: coloured(io.stdout),
      redact: (text) => redact(text),
      now: Date.now,
    },
    options.json === true,
    env,
  );
  const listeners = new Set<Emit>();
  const emit: Emit = (event) => {
    renderer.event(event);
    for (const listener of listeners) listener(event);
  };
  const readProjectOnce = () => (project ??= import('@polyvisor/host').then(({ readProject }) => readProject(io.cwd)));
  const loadHost = async () => {
    const { createHost } = await import('@polyvisor/host');
    return createHost({
      cwd: io.cwd,
      project: await readProjectOnce(),
      plugins: options.plugin ?? [],
      discovery: options.pluginDiscovery,
      official: OWN_PACKAGE,
      environment: env,
      emit,
    });
  };
  return {
    io,
    signal: io.signal,
    emit,
    observe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    renderer,
    project: readProjectOnce,
    host: () => (host ??= loadHost()),
    hide: async (secrets) => {
      const { createRedactor } = await import('@polyvisor/definition');
      redact = createRedactor(secrets);
    },
    answer: (value, text, paint) => renderer.result(value, text, paint),
    yieldStdout: () => (answers = io.stderr),
    answeredNo: false,
    [Symbol.asyncDispose]: async () => {
      renderer.close();
      await (await host?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  };
}
