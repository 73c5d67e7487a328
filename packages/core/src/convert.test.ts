import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { convert, type ConvertRequest, digest } from './convert.js';
import { defineConverter, type DiskConverter } from './converter.js';
import { type ByteSource, type DiskSource } from './disk.js';
import type { Event } from './events.js';
import { rawDisk } from './file.js';
import { createIdentity } from './identity.js';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const size = 6 * 1024 * 1024;
const source: DiskSource = {
  size,
  async *extents() {
    await Promise.resolve();
    yield { offset: 0, length: size };
  },
  read: async (into, offset) => {
    await Promise.resolve();
    into.fill(1 + offset / (2 * 1024 * 1024));
  },
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** The simplest format there is, with places to break. */
function format(
  id: string,
  breaks: {
    readonly create?: boolean;
    readonly write?: boolean;
    readonly finish?: boolean;
    readonly data?: boolean;
  } = {},
): DiskConverter {
  return defineConverter({
    id,
    extension: `.${id}`,
    summary: id,
    capabilities: { order: 'random', maxSize: 2 ** 40, sizeMultiple: 512, compression: [], hypervisors: ['test'] },
    options: z.strictObject({}),
    detect: () => Promise.resolve('maybe'),
    open: (file) => Promise.resolve({ disk: rawDisk(file, file.size), facts: {} }),
    create: async ({ sink, size: diskSize }) => {
      if (breaks.create) throw new Error('create fails');
      return Promise.resolve({
        size: diskSize,
        write: async ({ offset, bytes }) => {
          if (breaks.write && offset > 0) throw new Error('write fails');
          await sink.write(breaks.data ? bytes.slice().fill(0xee) : bytes, offset);
        },
        finish: async () => {
          if (breaks.finish) throw new Error('finish fails');
          await sink.end(diskSize);
        },
        abort: () => Promise.resolve(),
      });
    },
  });
}

function request(converters: readonly DiskConverter[], changes: Partial<ConvertRequest> = {}): ConvertRequest {
  return {
    source,
    targets: converters.map((converter) => ({
      converter,
      options: {},
      path: join(directory, `disk${converter.extension}`),
    })),
    identity: createIdentity('test'),
    appliance: {
      name: 'a',
      version: '1',
      description: '',
      architecture: 'x86_64',
      firmware: [],
      cpus: 1,
      memory: 1,
      guest: 'other',
      guestVersion: '',
    },
    force: false,
    verify: false,
    emit: () => undefined,
    signal: new AbortController().signal,
    ...changes,
  };
}

describe('convert', () => {
  it('writes all targets in one pass and tells what it made', async () => {
    const events: Event[] = [];
    const artifacts = await convert(
      request([format('one'), format('two')], { verify: true, emit: (event) => events.push(event) }),
    );
    const bytes = await readFile(join(directory, 'disk.one'));
    expect(bytes.equals(await readFile(join(directory, 'disk.two')))).toBe(true);
    expect(artifacts.map(({ format: id, bytes: length, size: visible }) => [id, length, visible])).toEqual([
      ['one', size, size],
      ['two', size, size],
    ]);
    expect(events.filter((event) => event.type === 'artifact')).toHaveLength(2);
    const progress = events.filter((event) => event.type === 'progress' && event.stage === 'export');
    expect(progress.at(-1)).toMatchObject({ done: size, total: size });
  });

  it.each([
    ['created', { create: true }, 'create fails'],
    ['written', { write: true }, 'write fails'],
    ['finished', { finish: true }, 'finish fails'],
    ['read back', { data: true }, /does not read back/],
  ])('leaves nothing when one of several cannot be %s', async (_, breaks, message) => {
    await expect(convert(request([format('good'), format('bad', breaks)], { verify: true }))).rejects.toThrow(message);
    expect(await readdir(directory)).toEqual([]);
  });

  it('leaves what was there when a target exists', async () => {
    await writeFile(join(directory, 'disk.two'), 'mine');
    await expect(convert(request([format('one'), format('two')]))).rejects.toMatchObject({ code: 'output-exists' });
    expect(await readdir(directory)).toEqual(['disk.two']);
  });

  it('refuses two targets with one name', async () => {
    await expect(convert(request([format('one'), format('one')]))).rejects.toMatchObject({ code: 'output-twice' });
  });
});

describe('digest', () => {
  it('hashes holes without reading them', async () => {
    const sparse: ByteSource = {
      size: 200 * 1024 * 1024,
      async *extents() {
        await Promise.resolve();
        yield { offset: 512, length: 512 };
      },
      read: async (into, offset) => {
        await Promise.resolve();
        expect(offset).toBe(512);
        into.fill(0x61);
      },
    };
    const whole = Buffer.alloc(sparse.size);
    whole.fill(0x61, 512, 1024);
    const { createHash } = await import('node:crypto');
    expect(await digest(sparse, 'sha256')).toBe(createHash('sha256').update(whole).digest('hex'));
  });
});
