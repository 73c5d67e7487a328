import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BuildLog } from './build-log.js';

describe('the log of a build', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'build-log-test-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('has every line of a script that says much at once, in order, without waiting for each', async () => {
    const path = join(directory, 'build.log');
    const log = await BuildLog.create(
      path,
      (text) => text,
      () => undefined,
    );
    const count = 100_000;
    for (let line = 0; line < count; line++)
      log.emit({ type: 'log', level: 'info', scope: 'script', message: String(line) });
    let turns = 0;
    const turn = (): void => void (turning = setImmediate(() => (turns++, turn())));
    let turning: NodeJS.Immediate | undefined;
    turn();
    await log.flush();
    clearImmediate(turning);
    await log[Symbol.asyncDispose]();
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => Number((JSON.parse(line) as { message: string }).message))).toEqual(
      Array.from({ length: count }, (_, line) => line),
    );
    // Each write that is waited for takes a turn of the event loop at least.
    expect(turns).toBeLessThan(count / 2);
  });

  it('stops to take what programs say when it is very long, says so once, and still takes what matters', async () => {
    const path = join(directory, 'build.log');
    const log = await BuildLog.create(
      path,
      (text) => text,
      () => undefined,
    );
    const message = 'x'.repeat(2 ** 20);
    for (let line = 0; line < 70; line++) log.emit({ type: 'log', level: 'info', scope: 'script', message });
    log.emit({ type: 'log', level: 'warn', scope: 'script', message: 'it matters' });
    await log[Symbol.asyncDispose]();
    const text = await readFile(path, 'utf8');
    expect(text.length).toBeLessThan(66 * 2 ** 20);
    expect(text.match(/the log is full/g)).toHaveLength(1);
    expect(text.trimEnd().split('\n').at(-1)).toContain('it matters');
  });
});
