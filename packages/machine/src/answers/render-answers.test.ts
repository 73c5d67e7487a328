import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AnswerFile } from '@polyvisor/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { renderAnswers } from './render-answers.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'answers-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function file(name: string, content: string | Uint8Array, more: Partial<AnswerFile> = {}): Promise<AnswerFile> {
  const from = join(directory, name.replaceAll('/', '_'));
  await writeFile(from, content);
  return { name, from, template: true, variables: {}, ...more };
}

it('renders templates and leaves other files alone', async () => {
  const rendered = await renderAnswers(
    [
      await file('a/ks.cfg', '\ufeff<%= name %> <%= mirror %>', { variables: { mirror: 'm', name: 'own' } }),
      await file('raw', Buffer.from([0xff, 0x3c, 0x25, 0x3d]), { template: false }),
    ],
    { name: 'n' },
  );
  expect([...rendered.keys()]).toEqual(['a/ks.cfg', 'raw']);
  expect(Buffer.from(rendered.get('a/ks.cfg') ?? []).toString()).toBe('\ufeffown m');
  expect(Buffer.from(rendered.get('raw') ?? []).toString('hex')).toBe('ff3c253d');
});

it('tells the problems of all templates together', async () => {
  const files = [
    await file('one', '<%= a %>'),
    await file('two', '\n<%= b %>'),
    await file('three', Buffer.from([0xff])),
  ];
  await expect(renderAnswers(files, {})).rejects.toMatchObject({
    code: 'template-invalid',
    issues: [{ file: files[0]?.from, line: 1 }, { file: files[1]?.from, line: 2 }, { file: files[2]?.from }],
  });
});

it.each(['', '/x', 'a//b', '../x', 'a/./b', 'a\\b', 'a\nb', 'x'.repeat(201), '\ud800'])(
  'refuses %j as a name',
  async (name) => {
    const answer = { ...(await file('fine', '')), name };
    await expect(renderAnswers([answer], {})).rejects.toMatchObject({ code: 'answer-name-invalid' });
  },
);

it('refuses the same name twice, folders, pipes, and what is too large', async () => {
  const one = await file('one', 'x');
  await expect(renderAnswers([one, one], {})).rejects.toMatchObject({ code: 'answer-twice' });
  const from = (path: string, template = false) => renderAnswers([{ ...one, from: path, template }], {});
  await expect(from(directory)).rejects.toMatchObject({ code: 'answer-not-a-file' });
  await expect(from(join(directory, 'missing'))).rejects.toMatchObject({ code: 'file-missing' });
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  await expect(from(join(directory, 'pipe'))).rejects.toMatchObject({ code: 'answer-not-a-file' });
  await truncate(one.from, 1024 ** 2 + 1);
  await expect(from(one.from, true)).rejects.toMatchObject({ code: 'answer-too-large' });
  await expect(from(one.from)).resolves.toBeDefined();
  await truncate(one.from, 16 * 1024 ** 2 + 1);
  await expect(from(one.from)).rejects.toMatchObject({ code: 'answer-too-large' });
  await truncate(one.from, 16 * 1024 ** 2);
  const many = [1, 2, 3, 4, 5].map((n) => ({ ...one, name: `n${n}`, template: false }));
  await expect(renderAnswers(many, {})).rejects.toMatchObject({ code: 'answer-too-large' });
});
