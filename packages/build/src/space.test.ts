import { describe, expect, it } from 'vitest';
import { checkSpace } from './space.js';

const need = (directory: string, bytes: number) => ({
  directory,
  bytes,
  what: 'the work directory',
  hint: 'choose another',
});

describe('checkSpace', () => {
  it('adds up what is on one file system', async () => {
    const free = () => Promise.resolve(100);
    expect(await checkSpace([need('/tmp/a/b', 60), need('/tmp/c', 40)], free)).toEqual([]);
    const problems = await checkSpace([need('/tmp/a/b', 60), need('/tmp/c', 41)], free);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toContain('100 B free, the build needs up to 101 B');
  });

  it('keeps file systems apart', async () => {
    expect(await checkSpace([need('/tmp', 60), need('/proc', 60)], () => Promise.resolve(100))).toEqual([]);
  });

  it('asks the system', async () => {
    expect(await checkSpace([need('/tmp', 2 ** 60)])).toHaveLength(1);
    expect(await checkSpace([need('/tmp', 1)])).toEqual([]);
  });
});
