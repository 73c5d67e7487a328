import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitOutputs, createOutput } from './output.js';
import { ownerTag } from './owner.js';

let directory = '';
const inside = (name: string) => join(directory, name);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function finished(name: string, text: string, force = false) {
  const output = await createOutput(inside(name), force);
  await output.sink.write(Buffer.from(text), 0);
  await output.sink.end(text.length);
  return output;
}

/** A tag as a process that has ended left it: its number is beyond what Linux gives out. */
const dead = ownerTag().replace(/^\d+/, '99999999');

describe('outputs', () => {
  it('appear under their names only at the commit', async () => {
    const output = await finished('a/b/disk.img', 'data');
    expect(await readdir(inside('a/b'))).toEqual([expect.stringMatching(/^disk\.img\..*\.part$/)]);
    await commitOutputs([output], false);
    expect(await readdir(inside('a/b'))).toEqual(['disk.img']);
    expect(await readFile(inside('a/b/disk.img'), 'utf8')).toBe('data');
  });

  it('leave nothing when discarded, twice', async () => {
    const output = await finished('disk.img', 'data');
    await output.discard();
    await output.discard();
    expect(await readdir(directory)).toEqual([]);
  });

  it('keep a hole where nothing was written', async () => {
    const output = await createOutput(inside('disk.img'), false);
    await output.sink.write(Buffer.from('end'), 50_000_000);
    await output.sink.end(60_000_000);
    await commitOutputs([output], false);
    const { size, blocks } = await stat(inside('disk.img'));
    expect(size).toBe(60_000_000);
    expect(blocks * 512).toBeLessThan(1_000_000);
  });

  it('do not replace a file, except by force', async () => {
    await writeFile(inside('disk.img'), 'old');
    await expect(createOutput(inside('disk.img'), false)).rejects.toMatchObject({ code: 'output-exists' });
    const output = await finished('disk.img', 'new', true);
    expect(await readFile(inside('disk.img'), 'utf8')).toBe('old');
    await commitOutputs([output], true);
    expect(await readFile(inside('disk.img'), 'utf8')).toBe('new');
    expect(await readdir(directory)).toEqual(['disk.img']);
  });

  it('do not replace a file that appeared in the meantime', async () => {
    const output = await finished('disk.img', 'new');
    await writeFile(inside('disk.img'), 'someone else');
    await expect(commitOutputs([output], false)).rejects.toMatchObject({ code: 'output-exists' });
    expect(await readFile(inside('disk.img'), 'utf8')).toBe('someone else');
  });

  it('do not replace a directory, even by force', async () => {
    await mkdir(inside('disk.img'));
    await expect(createOutput(inside('disk.img'), true)).rejects.toMatchObject({ code: 'output-exists' });
  });

  it('are taken back when a later one cannot get its name', async () => {
    await writeFile(inside('one.img'), 'old');
    const one = await finished('one.img', 'new', true);
    const two = await finished('two.img', 'new', true);
    await rm(two.partPath);
    await expect(commitOutputs([one, two], true)).rejects.toMatchObject({ code: 'file-missing' });
    expect(await readFile(inside('one.img'), 'utf8')).toBe('old');
  });

  it('remove what a killed run left of the same output, and nothing else', async () => {
    await writeFile(inside(`disk.img.${dead}.part`), 'left');
    await writeFile(inside(`disk.img.${ownerTag()}.part.txt`), 'mine');
    await writeFile(inside(`other.img.${dead}.part`), 'not asked for');
    const output = await finished('disk.img', 'new');
    await commitOutputs([output], false);
    expect((await readdir(directory)).sort()).toEqual(
      ['disk.img', `disk.img.${ownerTag()}.part.txt`, `other.img.${dead}.part`].sort(),
    );
  });

  it('put back what a run killed in its commit had moved aside', async () => {
    await writeFile(inside(`disk.img.${dead}.part.old`), 'precious');
    await expect(createOutput(inside('disk.img'), false)).rejects.toMatchObject({ code: 'output-exists' });
    expect(await readFile(inside('disk.img'), 'utf8')).toBe('precious');
  });

  it('say that a directory cannot be made', async () => {
    await writeFile(inside('file'), '');
    await expect(createOutput(inside('file/disk.img'), false)).rejects.toMatchObject({
      message: expect.stringContaining('file/disk.img') as string,
    });
  });

  it('are not written through a link that is already there', async () => {
    await writeFile(inside('victim'), 'mine');
    await symlink(inside('victim'), inside('disk.img'));
    const output = await finished('disk.img', 'new', true);
    await commitOutputs([output], true);
    expect(await readFile(inside('victim'), 'utf8')).toBe('mine');
  });
});
