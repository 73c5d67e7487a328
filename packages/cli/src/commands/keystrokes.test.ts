import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Output } from '../io.js';
import { run } from '../run.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polyvisor-keystrokes-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function keystrokes(args: readonly string[], input?: string) {
  const written = ['', ''];
  const [stdout, stderr] = written.map(
    (_, index): Output =>
      new Writable({
        write: (chunk, _encoding, done) => {
          written[index] += String(chunk);
          done();
        },
      }),
  ) as [Output, Output];
  const code = await run(['keystrokes', ...args], {
    ...(input === undefined ? {} : { stdin: Readable.from([Buffer.from(input)]) }),
    stdout,
    stderr,
    cwd: folder,
    env: {},
    signal: new AbortController().signal,
  });
  return { code, stdout: written[0] ?? '', stderr: written[1] ?? '' };
}

describe('polyvisor keystrokes', () => {
  it('shows what would be typed, its values left open', async () => {
    const { code, stdout } = await keystrokes([
      '--layout',
      'de',
      '<esc>y url=<%= answers %>',
      '<enter><wait5>',
      '--pause',
      '0.5',
    ]);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split('\n')).toEqual([
      'type    <esc>y url=',
      '  keys    escape z space u r l shift+0',
      'type    <%= answers %>  (known during a build)',
      'wait    500 ms',
      'type    <enter>',
      '  keys    enter',
      'wait    5.5 s',
    ]);
  });

  it('takes lines of standard input', async () => {
    const { code, stdout } = await keystrokes(['-', '--json'], 'ab\r\n<wait>\n');
    expect(code).toBe(0);
    const answer = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as object;
    expect(answer).toMatchObject({
      type: 'result',
      command: 'keystrokes',
      typed: [
        {
          layout: 'us',
          steps: [
            {
              kind: 'keys',
              written: 'ab',
              keys: [
                { name: 'a', action: 'type' },
                { name: 'b', action: 'type' },
              ],
            },
            { kind: 'wait', milliseconds: 1000 },
          ],
        },
      ],
    });
  });

  it('reads no more of standard input than can be typed', async () => {
    const { code, stderr } = await keystrokes(['-'], 'x'.repeat(300_000));
    expect(code).toBe(2);
    expect(stderr).toContain('65536');
  });

  it('tells every mistake with its place', async () => {
    const { code, stderr } = await keystrokes(['<entr>', 'x<wait5x>']);
    expect(code).toBe(2);
    expect(stderr).toContain('keystrokes:1:1: no key is called <entr>; did you mean <enter>?');
    expect(stderr).toContain('keystrokes:2:2: <wait5x>: 5x is not a time');
  });

  it('wants text or a definition', async () => {
    for (const args of [[], ['x', '--definition', 'y'], ['-']]) expect((await keystrokes(args)).code).toBe(2);
  });

  it('says of a definition without an installer that it types nothing', async () => {
    const { code, stdout } = await keystrokes(['--definition', 'debian-12']);
    expect(code).toBe(0);
    expect(stdout).toContain('types nothing');
  });
});
