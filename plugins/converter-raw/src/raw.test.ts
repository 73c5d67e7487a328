import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commitOutputs, createOutput, type Finding, type ImageFile, pump } from '@polyvisor/core';
import {
  describeConverter,
  job,
  memoryDisk,
  memoryFile,
  memorySink,
  noise,
  qemuImgCompare,
  qemuImgSize,
  write,
} from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { raw } from './raw.js';

const MiB = 2 ** 20;
const signal = new AbortController().signal;

describeConverter(raw, {
  oracles: [qemuImgCompare('raw'), qemuImgSize('raw')],
  knownLimits: ['unrecognisable', 'no-redundancy'],
});

const source = () =>
  memoryDisk(9 * MiB + 512, [
    { offset: 3 * MiB, bytes: noise(5000) },
    { offset: 7 * MiB + 512, bytes: noise(512) },
  ]);

describe('a raw disk', () => {
  it('is written from front to back, with gaps or without', async () => {
    for (const preallocation of ['off', 'full']) {
      const written: { offset: number; length: number }[] = [];
      const sink = memorySink({ beforeWrite: (offset, length) => void written.push({ offset, length }) });
      const { writer } = await write(raw, source(), { preallocation }, sink);
      expect(writer.order).toBe('append');
      let end = 0;
      for (const { offset, length } of written) {
        if (preallocation === 'full') expect(offset).toBe(end);
        else expect(offset).toBeGreaterThanOrEqual(end);
        end = offset + length;
      }
      expect(end).toBe(preallocation === 'full' ? 9 * MiB + 512 : 7 * MiB + 4096);
      const whole = new Uint8Array(9 * MiB + 512);
      await source().read(whole, 0);
      expect(Buffer.compare(sink.bytes(), whole)).toBe(0);
    }
  });

  it('occupies all its space only when that is asked for', async () => {
    const scratch = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    try {
      const stored = async (preallocation: string) => {
        const output = await createOutput(join(scratch, preallocation), false);
        const writer = await raw.create({ ...job(9 * MiB + 512, memorySink(), { preallocation }), sink: output.sink });
        await pump(source(), [writer], { signal });
        await writer.finish();
        await commitOutputs([output], false);
        return (await stat(output.path)).blocks * 512;
      };
      expect(await stored('off')).toBeLessThan(MiB);
      expect(await stored('full')).toBeGreaterThanOrEqual(9 * MiB);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });

  it('stops filling when it is cancelled', async () => {
    const cancel = new AbortController();
    const sink = memorySink({
      beforeWrite: (offset) => (offset > MiB ? cancel.abort(new Error('enough')) : undefined),
    });
    const writer = await raw.create({ ...job(2 ** 50, sink, { preallocation: 'full' }), signal: cancel.signal });
    await expect(writer.finish()).rejects.toThrow('enough');
  });

  it('may be whatever is not empty', async () => {
    const boot = Buffer.alloc(512);
    boot.write('eb6390', 0, 'hex');
    boot.write('55aa', 510, 'hex');
    for (const bytes of [boot, Buffer.alloc(512), Buffer.alloc(1), Buffer.from(noise(2048))])
      expect(await raw.detect(memoryFile(bytes))).toBe('maybe');
    expect(await raw.detect(memoryFile(Buffer.alloc(0)))).toBe('no');
  });
});

describe('checking a raw disk', () => {
  const rules = async (file: ImageFile) => {
    const findings: Finding[] = [];
    for await (const finding of raw.check?.(file, { signal }) ?? []) findings.push(finding);
    return findings.map(({ rule }) => rule);
  };

  it('finds nothing but an odd length and no length', async () => {
    expect(await rules(memoryFile(new Uint8Array(1024)))).toEqual([]);
    expect(await rules(memoryFile(noise(4096)))).toEqual([]);
    expect(await rules(memoryFile(new Uint8Array(1023)))).toEqual(['raw-size']);
    expect(await rules(memoryFile(new Uint8Array(0)))).toEqual(['raw-empty']);
  });
});
