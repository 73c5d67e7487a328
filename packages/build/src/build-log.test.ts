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
});
