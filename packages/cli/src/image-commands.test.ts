import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExitCode } from './exit-code.js';
import type { Output } from './io.js';
import { run } from './run.js';

/** The made-up plugin lies where Node would not find it. */
const ZOD = pathToFileURL(createRequire(import.meta.url).resolve('zod')).href;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polyvisor-image-'));
  await fakePlugin();
});

afterEach(() => rm(folder, { recursive: true, force: true }));

function capture(isTTY: boolean): { stream: Output; text: () => string } {
  let text = '';
  const stream = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk);
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns: 100 }), text: () => text };
}

async function polyvisor(args: readonly string[], { tty = false } = {}) {
  const stdout = capture(tty);
  const stderr = capture(false);
  const code = await run([...args, '--plugin', './fake'], {
    stdout: stdout.stream,
    stderr: stderr.stream,
    cwd: folder,
    env: { PATH: process.env['PATH'] },
    signal: new AbortController().signal,
  });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

async function answerOf(...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await polyvisor([...args, '--json']);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

/**
 * A plugin in plain JavaScript. Its format is a sector with a mark and one byte for each thing that can be wrong, and the disk
 * behind it. A second converter reads the same files for another consumer, a third one reads nothing.
 */
async function fakePlugin(): Promise<void> {
  await mkdir(join(folder, 'fake'));
  await writeFile(
    join(folder, 'fake/package.json'),
    JSON.stringify({ name: 'fake', version: '1.0.0', type: 'module', exports: './index.js' }),
  );
  await writeFile(
    join(folder, 'fake/index.js'),
    `import { z } from '${ZOD}';
    const format = (code, message, more) => Object.assign(new Error(message), { [Symbol.for('polyvisor.error')]: 'format', code, ...more });
    const head = async (file) => { const bytes = Buffer.alloc(512); await file.read(bytes, 0); return bytes; };
    const base = {
      extension: '.fake', summary: 'A made-up format', options: z.strictObject({}),
      create: async () => { throw new Error('nobody asked'); },
      open: async (file, { parent } = {}) => {
        const bytes = await head(file);
        if (bytes[14]) throw format('fake-shut', file.path + ', offset 14: it does not open (expected 0)', { file: file.path, offset: 14, expected: '0' });
        const missing = () => Promise.reject(format('parent-missing', 'the rest is in a parent'));
        const hasParent = bytes[15] === 1;
        return {
          facts: { mood: 'good', uuid: '1234' },
          linkId: 'me',
          ...(hasParent ? { parent: { names: ['../../etc/passwd'], linkId: 'them' } } : {}),
          snapshots: bytes[16] ? [{ id: '1', name: 'before\\u001b[2J', time: 1700000000 }] : [],
          disks: [{ name: 'first', size: file.size - 512 }, { name: 'second', size: 512 }],
          warnings: ['it was shut down in a hurry'],
          disk: {
            size: file.size - 512,
            async *extents() { if (hasParent) await missing(); yield { offset: 0, length: Math.min(file.size - 512, 1048576) }; },
            read: (into, offset) => hasParent ? missing() : file.read(into, offset + 512),
            [Symbol.asyncDispose]: async () => {},
          },
        };
      },
      async *check(file, { consumer, now }) {
        const bytes = await head(file);
        if (!(now > 1700000000)) throw new Error('no time');
        if (bytes[8] !== 0x5a)
          yield { rule: 'fake-checksum', severity: 'error', message: 'the checksum is wrong', refusedBy: ['alpha'], offset: 8, expected: '0x5a', found: '0x' + bytes[8].toString(16), hint: 'repair it' };
        if (bytes[9]) yield { rule: 'fake-flag', severity: 'error', message: 'the flag is set', refusedBy: [], offset: 9 };
        if (bytes[10]) yield { rule: 'fake-odd', severity: 'warning', message: 'this is odd', refusedBy: ['beta'] };
        if (bytes[12]) for (let index = 0; index < 5000; index++)
          yield { rule: 'fake-many', severity: 'warning', message: 'entry ' + index, refusedBy: [] };
        if (bytes[13] && consumer === 'alpha') yield { rule: 'fake-alpha', severity: 'warning', message: 'alpha alone', refusedBy: ['alpha'] };
        if (bytes[11]) throw format('fake-broken', file.path + ', offset 11: nothing can be told (expected 0, found 1)', { file: file.path, offset: 11, expected: '0', found: '1', hint: 'look elsewhere' });
      },
      async *repair(file, signal, { now }) {
        if (!(now > 1700000000)) throw new Error('no time');
        const bytes = await head(file);
        if (bytes[8] !== 0x5a) yield { offset: 8, bytes: Buffer.from([0x5a]), reason: 'the checksum was wrong' };
        if (bytes[10]) { yield { offset: 10, bytes: Buffer.alloc(1), reason: 'what was odd' }; yield { offset: file.size, bytes: Buffer.alloc(512), reason: 'what was odd' }; }
      },
    };
    const capabilities = { order: 'append', maxSize: 2 ** 40, sizeMultiple: 512, compression: [], hypervisors: ['Nowhere'] };
    const detect = (answer) => async (file) => file.size >= 1024 && (await head(file)).toString('latin1', 0, 8) === 'FAKEDISK' ? answer : 'no';
    const { check, repair, ...plain } = base;
    export default {
      api: 1, name: 'fake', booters: [], provisioners: [],
      converters: [
        () => ({ ...base, id: 'fake', capabilities: { ...capabilities, consumers: ['alpha', 'beta'] }, detect: detect('yes') }),
        () => ({ ...plain, id: 'fake-delta', capabilities: { ...capabilities, consumers: ['delta'] }, detect: detect('maybe') }),
        () => ({ ...plain, id: 'other', extension: '.oth', capabilities: { ...capabilities, consumers: ['gamma', 'hyperv'] }, detect: async () => 'no' }),
      ],
    };`,
  );
}

/** An image of the made-up format with some of its bytes set; 8 is the checksum. */
async function image(bytes: Readonly<Record<number, number>> = {}, disk = Buffer.alloc(4096), name = 'disk.fake') {
  const head = Buffer.alloc(512);
  head.write('FAKEDISK');
  for (const [at, byte] of Object.entries({ 8: 0x5a, ...bytes })) head[Number(at)] = byte;
  await writeFile(join(folder, name), Buffer.concat([head, disk]));
}

const names = async () => (await readdir(folder)).filter((name) => name !== 'fake').sort();

describe('check', () => {
  it('finds nothing in a sound image, and says who takes it', async () => {
    await image();
    const { code, stdout } = await polyvisor(['check', 'disk.fake']);
    expect(stdout).toContain('disk.fake: fake, nothing to complain about\n');
    expect(stdout).toMatch(/^alpha +takes it$/m);
    expect(stdout).toMatch(/^gamma +does not load fake$/m);
    expect(code).toBe(0);
  });

  it('prints severity, rule, place, found, expected and what to do; who refuses it and why', async () => {
    await image({ 8: 0x21, 10: 1 });
    const { code, stdout } = await polyvisor(['check', 'disk.fake']);
    expect(stdout).toContain(
      [
        'error    fake-checksum  at 0x8 (8)',
        '         the checksum is wrong',
        '         found:     0x21',
        '         expected:  0x5a',
        '         refused by alpha',
        '         do:        repair it',
        'warning  fake-odd',
      ].join('\n'),
    );
    expect(stdout).toContain('disk.fake: fake, 1 error, 1 warning');
    expect(stdout).toMatch(/^alpha +refuses it for one rule: fake-checksum$/m);
    expect(stdout).toMatch(/^beta +refuses it for one rule: fake-odd$/m);
    expect(stdout).toContain('`polyvisor repair disk.fake --dry-run`');
    expect(code).toBe(ExitCode.no);
  });

  it('knows who refuses a sound image for a rule that matters to nobody else', async () => {
    await image({ 13: 1 });
    const { code, stdout } = await polyvisor(['check', 'disk.fake']);
    expect(stdout).toContain('disk.fake: fake, nothing to complain about\n');
    expect(stdout).toMatch(/^alpha +refuses it for one rule: fake-alpha$/m);
    expect(stdout).toMatch(/^beta +takes it$/m);
    expect(code).toBe(0);
  });

  it('counts for one consumer only what it refuses', async () => {
    await image({ 8: 0x21, 9: 1, 10: 1 });
    const alpha = await polyvisor(['check', 'disk.fake', '--for', 'alpha']);
    expect(alpha.stdout).toMatch(/^error +fake-checksum/m);
    expect(alpha.stdout).toMatch(/^warning +fake-flag(.*\n)*? +the format forbids it; alpha does not mind/m);
    expect(alpha.stdout).toMatch(/^note +fake-odd/m);
    expect(alpha.stdout).toContain('1 error, 1 warning, 1 note; alpha refuses it');
    expect(alpha.code).toBe(ExitCode.no);
    await image({ 9: 1 });
    const beta = await polyvisor(['check', 'disk.fake', '--for', 'beta']);
    expect(beta.stdout).toContain('1 warning; beta takes it');
    expect(beta.code).toBe(0);
    expect((await polyvisor(['check', 'disk.fake'])).code).toBe(ExitCode.no);
  });

  it('tells the converter for whom, and gives machines everything', async () => {
    await image({ 13: 1 });
    expect(await answerOf('check', 'disk.fake')).toMatchObject({ sound: true, findings: [] });
    expect(await answerOf('check', 'disk.fake', '--for', 'alpha')).toMatchObject({
      command: 'check',
      format: 'fake',
      for: 'alpha',
      sound: false,
      levels: { error: 1, warning: 0, note: 0 },
      findings: [{ rule: 'fake-alpha', level: 'error', severity: 'warning', refusedBy: ['alpha'] }],
    });
  });

  it('takes a refusal in the middle as one more finding that everybody minds', async () => {
    await image({ 10: 1, 11: 1 });
    const { stdout, code } = await polyvisor(['check', 'disk.fake', '--for', 'alpha']);
    expect(stdout).toContain('error    fake-broken  at 0xb (11)\n         nothing can be told\n         found:     1');
    expect(stdout).toMatch(/^note +fake-odd/m);
    expect(code).toBe(ExitCode.no);
  });

  it('finds that an image does not open, where no rule says so', async () => {
    await image({ 14: 1 });
    expect((await polyvisor(['check', 'disk.fake'])).stdout).toMatch(/^error +fake-shut +at 0xe/m);
    await image({ 9: 1, 14: 1 });
    expect((await polyvisor(['check', 'disk.fake'])).stdout).not.toContain('fake-shut');
  });

  it('bounds what it keeps and shows of one rule', async () => {
    await image({ 12: 1 });
    const { stdout } = await polyvisor(['check', 'disk.fake']);
    expect(stdout.match(/fake-many/g)).toHaveLength(21);
    expect(stdout).toContain('4980 more of fake-many');
    expect(stdout).toContain('5000 warnings');
    expect((await answerOf('check', 'disk.fake'))['findings']).toHaveLength(1000);
  });

  it('says that a consumer does not load the format, and which it loads', async () => {
    await image();
    const { stdout, code } = await polyvisor(['check', 'disk.fake', '--for', 'gamma']);
    expect(stdout).toContain('gamma does not load fake');
    expect(stdout).toContain('polyvisor convert disk.fake --to other');
    expect(code).toBe(ExitCode.no);
  });

  it('asks another converter of the same files when that one is for the consumer', async () => {
    await image();
    expect(await answerOf('check', 'disk.fake', '--for', 'delta')).toMatchObject({ format: 'fake-delta', sound: true });
  });

  it('refuses a consumer that nobody knows, and guesses', async () => {
    await image();
    const { stderr, code } = await polyvisor(['check', 'disk.fake', '--for', 'gama']);
    expect(stderr).toContain('did you mean "gamma"?');
    expect(code).toBe(ExitCode.definition);
  });

  it('reads everything where there are no rules', async () => {
    await image({ 8: 0x21 });
    const { stdout, code } = await polyvisor(['check', 'disk.fake', '--from', 'fake-delta']);
    expect(stdout).toContain('fake-delta has no rules to check, so all of its data was read instead');
    expect(code).toBe(0);
  });

  it('says that it cannot look at a disk whose parent is elsewhere', async () => {
    await image({ 15: 1 });
    const { stdout, code } = await polyvisor(['check', 'disk.fake']);
    expect(stdout).toContain('note: the disk itself was not looked at: the rest of it is in a parent image');
    expect(code).toBe(0);
  });

  it('finds partitions behind the end of a disk that was cut off', async () => {
    const disk = Buffer.alloc(4096);
    disk.writeUInt16LE(0xaa55, 510);
    disk[450] = 0x83;
    disk.writeUInt32LE(1, 454);
    disk.writeUInt32LE(100, 458);
    await image({}, disk);
    const { stdout, code } = await polyvisor(['check', 'disk.fake']);
    expect(stdout).toMatch(/^error +disk-partition-outside/m);
    expect(stdout).toContain('partition 1 does not lie on the disk: it ends at byte 51712 of 4096');
    expect(code).toBe(ExitCode.no);
  });
});

describe('repair', () => {
  it('writes a repaired copy beside the image, and checks it', async () => {
    await image({ 8: 0x21, 10: 1 });
    const before = await readFile(join(folder, 'disk.fake'));
    const { stdout, code } = await polyvisor(['repair', 'disk.fake']);
    expect(stdout).toContain('mended: the checksum was wrong\nmended: what was odd (2 places)\n');
    expect(stdout).toContain('disk-repaired.fake: nothing to complain about');
    expect(code).toBe(0);
    expect(await names()).toEqual(['disk-repaired.fake', 'disk.fake']);
    expect(await readFile(join(folder, 'disk.fake'))).toEqual(before);
    const after = await readFile(join(folder, 'disk-repaired.fake'));
    expect([after.length, after[8], after[10]]).toEqual([before.length + 512, 0x5a, 0]);
    expect((await polyvisor(['check', 'disk-repaired.fake'])).code).toBe(0);
  });

  it('lists what is still broken, with exit code 1', async () => {
    await image({ 8: 0x21, 9: 1 });
    const { stdout, code } = await polyvisor(['repair', 'disk.fake', '-o', 'out/']);
    expect(stdout).toMatch(/still broken:\nerror +fake-flag/);
    expect(code).toBe(ExitCode.no);
    expect(await readdir(join(folder, 'out'))).toEqual(['disk-repaired.fake']);
  });

  it('writes nothing when there is nothing to mend', async () => {
    await image();
    const sound = await polyvisor(['repair', 'disk.fake', '-o', 'x.fake']);
    expect(sound.stdout).toContain('disk.fake: fake, nothing that could be mended without guessing');
    expect(sound.code).toBe(0);
    await image({ 9: 1 });
    expect((await polyvisor(['repair', 'disk.fake', '-o', 'x.fake'])).code).toBe(ExitCode.no);
    expect(await names()).toEqual(['disk.fake']);
  });

  it('only tells with --dry-run', async () => {
    await image({ 8: 0x21 });
    const { stdout, code } = await polyvisor(['repair', 'disk.fake', '--dry-run']);
    expect(stdout).toBe('would be mended: the checksum was wrong\n');
    expect(code).toBe(0);
    expect(await names()).toEqual(['disk.fake']);
  });

  it('changes the image itself with --in-place, and leaves nothing beside it', async () => {
    await image({ 8: 0x21, 10: 1 });
    expect(await answerOf('repair', 'disk.fake', '--in-place')).toMatchObject({
      sound: true,
      written: join(folder, 'disk.fake'),
      mended: [
        { reason: 'the checksum was wrong', patches: 1 },
        { reason: 'what was odd', patches: 2 },
      ],
      remaining: [],
    });
    expect((await stat(join(folder, 'disk.fake'))).size).toBe(512 + 4096 + 512);
    expect(await names()).toEqual(['disk.fake']);
  });

  it('expands a compressed image, repairs the copy, and refuses to do so in place', async () => {
    await image({ 8: 0x21 });
    const packed = gzipSync(await readFile(join(folder, 'disk.fake')));
    await rm(join(folder, 'disk.fake'));
    await writeFile(join(folder, 'disk.fake.gz'), packed);
    expect((await polyvisor(['check', 'disk.fake.gz'])).stdout).toMatch(/^error +fake-checksum/m);
    const { stderr, code } = await polyvisor(['repair', 'disk.fake.gz', '--in-place']);
    expect(stderr).toContain('cannot be repaired in place');
    expect(code).toBe(ExitCode.definition);
    expect((await polyvisor(['repair', 'disk.fake.gz'])).code).toBe(0);
    expect(await names()).toEqual(['disk-repaired.fake', 'disk.fake.gz']);
    expect((await readFile(join(folder, 'disk-repaired.fake')))[8]).toBe(0x5a);
  });

  it.each([
    [['--in-place', '-o', 'x'], 'only one of'],
    [['--undo'], 'no repair in place was interrupted'],
    [['--from', 'fake-delta'], 'nothing in fake-delta images can be repaired'],
    [['-o', 'disk.fake'], 'exists'],
  ])('%j is a mistake', async (options, text) => {
    await image({ 8: 0x21 });
    const { stderr, code } = await polyvisor(['repair', 'disk.fake', ...options]);
    expect(stderr).toContain(text);
    expect(code).toBe(ExitCode.definition);
    expect(await names()).toEqual(['disk.fake']);
  });
});

describe('inspect', () => {
  it('tells what an image is and draws what is allocated', async () => {
    await image({}, Buffer.alloc(4096));
    const { stdout, stderr, code } = await polyvisor(['inspect', 'disk.fake']);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^format +fake: A made-up format$/m);
    expect(stdout).toMatch(/^mood +good$/m);
    expect(stdout).toContain(`           0 ${'█'.repeat(8)}\n             each 512 B: █ data, ░▒▓ partly, · empty`);
    expect(code).toBe(0);
  });

  it('gives machines the same', async () => {
    await image({}, Buffer.alloc(4096), 'disk.oth');
    expect(await answerOf('inspect', 'disk.oth')).toMatchObject({
      command: 'inspect',
      format: 'fake',
      virtualSize: 4096,
      fileSize: 4608,
      readable: true,
      allocated: 4096,
      allocation: { partSize: 512, parts: Array.from({ length: 8 }, () => 512) },
      partitionTable: { kind: 'none', partitions: [], problems: [] },
      boot: [],
      facts: { mood: 'good', uuid: '1234' },
      warnings: expect.arrayContaining([
        expect.stringContaining('disk.oth is fake, although .oth is the name of other') as string,
      ]) as string[],
    });
  });

  it('tells what is known of an image whose parent is missing', async () => {
    await image({ 15: 1 });
    const { stdout, code } = await polyvisor(['inspect', 'disk.fake']);
    expect(stdout).toMatch(/^mood +good$/m);
    expect(stdout).toContain('what is on the disk is not known');
    expect(code).toBe(0);
    expect(await answerOf('inspect', 'disk.fake')).toMatchObject({ readable: false, virtualSize: 4096 });
  });

  it('is coloured on a terminal only', async () => {
    await image();
    expect((await polyvisor(['inspect', 'disk.fake'])).stdout).not.toContain('\u001b');
    expect((await polyvisor(['inspect', 'disk.fake'], { tty: true })).stdout).toContain('\u001b[32m████████\u001b[39m');
    expect((await polyvisor(['inspect', 'disk.fake', '--no-color'], { tty: true })).stdout).not.toContain('\u001b');
  });
});
