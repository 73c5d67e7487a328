import { EnvironmentError, errorKind, FormatError } from './errors.js';
import type { ExpandOptions } from './expand.js';
import type { PluginContext } from './plugin.js';

/** Programs that expand, with the memory that a file may make them take, and the package that has them. */
const PROGRAMS = {
  // A header may ask for a dictionary of up to 4 GiB; `xz -9` makes one of 64 MiB.
  xz: { command: 'xz', args: ['-dc', '-T1', '--memlimit-decompress=160MiB'], debianPackage: 'xz-utils' },
  bzip2: { command: 'bzip2', args: ['-dc'], debianPackage: 'bzip2' },
} as const;

/** The most that is kept of what a program says, in characters. */
const WORDS = 2000;

/** Expands a stream with a program that is known for it; whatever that complains about is a refusal. */
export async function* runProgram(
  kind: keyof typeof PROGRAMS,
  bytes: AsyncGenerator<Uint8Array>,
  { path, programs, signal }: Pick<ExpandOptions, 'path' | 'programs' | 'signal'>,
): AsyncGenerator<Uint8Array> {
  const { command, args } = PROGRAMS[kind];
  const running = startProgram(kind, programs, path, signal);
  let words = '';
  running.stderr.on('data', (text: Buffer) => (words = (words + text.toString()).slice(-WORDS)));
  const heard = new Promise((settle) => running.stderr.once('close', settle));
  let failure: unknown;
  const feeding = (async () => {
    for await (const part of bytes) {
      // A program that has ended takes no more; why it did is known from its exit code.
      if (running.stdin.destroyed) break;
      if (!running.stdin.write(part)) await drained(running.stdin);
    }
    running.stdin.end();
  })().catch(async (error: unknown) => {
    failure = error;
    await running.stop(0);
  });
  try {
    for await (const part of running.stdout) yield part as Uint8Array;
    await feeding;
    const { exitCode } = await running.exited;
    await heard;
    signal.throwIfAborted();
    if (failure !== undefined) throw failure;
    // Where one of them goes on in spite of a complaint, something would be missing.
    if (exitCode !== 0 || words.trim() !== '') throw damaged(command, args.join(' '), words.trim(), path);
  } finally {
    await running.stop(0);
  }
}

function drained(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((settle) => {
    const done = () => {
      for (const name of ['drain', 'close', 'error']) stream.removeListener(name, done);
      settle();
    };
    for (const name of ['drain', 'close', 'error']) stream.once(name, done);
  });
}

function startProgram(
  kind: keyof typeof PROGRAMS,
  programs: Pick<PluginContext, 'start'>,
  path: string,
  signal: AbortSignal,
): ReturnType<PluginContext['start']> {
  const { command, args, debianPackage } = PROGRAMS[kind];
  try {
    return programs.start(command, args, { signal });
  } catch (error) {
    if (errorKind(error) !== 'environment' || (error as EnvironmentError).code !== 'command-missing') throw error;
    throw new EnvironmentError('command-missing', `${path} is compressed with ${kind}, and there is no ${command}`, {
      hint: `install it: apt-get install ${debianPackage}`,
      cause: error,
    });
  }
}

function damaged(command: string, args: string, words: string, path: string): FormatError {
  const found = words.replaceAll(/^(xz|bzip2): |\(stdin\): |\s*\n\s*/gm, ' ').trim() || 'data that ends it';
  if (/memory usage limit/i.test(words)) {
    return new FormatError('expansion-memory', `expanding the file takes more memory than it may`, {
      file: path,
      expected: `a file that ${command} ${args} expands`,
      found,
      hint: `expand it by hand with ${command} if you trust it`,
    });
  }
  if (/unexpected end|ends unexpectedly/i.test(words)) {
    return new FormatError('file-truncated', 'the compressed file ends too early', {
      file: path,
      expected: `more ${command} data`,
      found: 'the end of the file',
    });
  }
  return new FormatError('expansion-failed', `${command} cannot expand the file`, {
    file: path,
    expected: `sound ${command} data`,
    found,
  });
}
