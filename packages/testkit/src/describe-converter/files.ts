import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BLOCK_SIZE,
  convert,
  type ConvertRequest,
  createIdentity,
  digest,
  type DiskConverter,
  type DiskSource,
  openImageFile,
} from '@polyvisor/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleFacts } from '../facts.js';
import { memoryDisk, noise, texture } from '../memory.js';
import { never } from './write.js';

/** The converter under `convert`, on a real file system. */
export function describeFiles(converter: DiskConverter): void {
  describe('as files', () => {
    let directory = '';
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const request = (source: DiskSource, signal: AbortSignal, verify: boolean): ConvertRequest => ({
      source,
      targets: [{ converter, options: {}, path: join(directory, `out${converter.extension}`) }],
      identity: createIdentity('test'),
      appliance: sampleFacts,
      force: false,
      verify,
      emit: () => undefined,
      signal,
    });

    it('leaves nothing behind when cancelled', async () => {
      const cancel = new AbortController();
      const source = memoryDisk(8 * BLOCK_SIZE, [{ offset: 0, bytes: noise(8 * BLOCK_SIZE) }]);
      const cancelling: DiskSource = {
        ...source,
        read: async (into, offset) => {
          if (offset >= 3 * BLOCK_SIZE) cancel.abort(new Error('enough'));
          await source.read(into, offset);
        },
      };
      await expect(convert(request(cancelling, cancel.signal, false))).rejects.toThrow('enough');
      expect(await readdir(directory)).toEqual([]);
    });

    it('is hashed, measured and verified by convert', async () => {
      const source = memoryDisk(2 * BLOCK_SIZE, [{ offset: 4096, bytes: texture(300_000, 23) }]);
      const path = join(directory, `out${converter.extension}`);
      const [artifact] = await convert(request(source, never, true));
      await using file = await openImageFile(path);
      expect(artifact).toMatchObject({
        path,
        format: converter.id,
        bytes: file.size,
        sha256: await digest(file, 'sha256'),
      });
      expect(await readdir(directory)).toContain(`out${converter.extension}`);
      expect((await readdir(directory)).filter((name) => name.includes('.part'))).toEqual([]);
    });
  });
}
