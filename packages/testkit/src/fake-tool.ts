import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a fake tool answers when its arguments, joined by spaces, match. The first answer that matches counts. */
export interface FakeAnswer {
  readonly when: RegExp;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exitCode?: number;
  /** In milliseconds; the tool waits that long before it ends. */
  readonly delay?: number;
}

export interface FakeTool {
  /** Put it first on PATH. */
  readonly directory: string;
  /** The argument lists that the tool was called with, in order. */
  calls(): Promise<readonly (readonly string[])[]>;
}

/**
 * A command on PATH that records how it is called and answers from a table: a hypervisor or a packaging tool without one.
 * Calls that no answer matches end with code 99, so that a test notices them.
 */
export async function fakeTool(directory: string, name: string, answers: readonly FakeAnswer[]): Promise<FakeTool> {
  await mkdir(directory, { recursive: true });
  const log = join(directory, `${name}.calls`);
  const table = answers.map((answer) => ({ ...answer, when: answer.when.source, flags: answer.when.flags }));
  const script = `#!${process.execPath}
const { appendFileSync } = require('node:fs');
const args = process.argv.slice(2);
appendFileSync(${JSON.stringify(log)}, JSON.stringify(args) + '\\n');
const answer = ${JSON.stringify(table)}.find(({ when, flags }) => new RegExp(when, flags).test(args.join(' ')));
if (answer === undefined) {
  process.stderr.write('fake ${name}: no answer for ' + args.join(' ') + '\\n');
  process.exitCode = 99;
} else {
  setTimeout(() => {
    process.stdout.write(answer.stdout ?? '');
    process.stderr.write(answer.stderr ?? '');
    process.exitCode = answer.exitCode ?? 0;
  }, answer.delay ?? 0);
}
`;
  const path = join(directory, name);
  await writeFile(path, script);
  await chmod(path, 0o755);
  return {
    directory,
    calls: async () => {
      const text = await readFile(log, 'utf8').catch(() => '');
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as string[]);
    },
  };
}
