import { BLOCK_SIZE, compareDisks, type DiskConverter, errorKind } from '@polyvisor/core';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { memoryDisk, memoryFile, memorySink, noise, texture } from '../memory.js';
import { type Shape, shapes, telling } from '../shapes.js';
import { expectSound } from './check.js';
import { scatterings } from './scatterings.js';
import { type ConverterSuite, type Depth, type OptionSet } from './suite.js';
import { job, never, type Written, write } from './write.js';

/** What the converter says about itself, and what it refuses. */
export function describeItself(converter: DiskConverter, { knownLimits = [] }: ConverterSuite): void {
  it('describes itself', async () => {
    expect(converter.id).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(converter.extension).toMatch(/^\.[a-z0-9.]+$/);
    expect(converter.summary.length).toBeGreaterThan(0);
    expect(converter.capabilities.maxSize).toBeGreaterThan(0);
    expect(converter.capabilities.sizeMultiple % 512).toBe(0);
    expect(converter.capabilities.hypervisors.length).toBeGreaterThan(0);
    const writer = await converter.create(job(BLOCK_SIZE, memorySink(), {}));
    await writer.abort();
    expect(writer.order ?? converter.capabilities.order, 'the order with the default options').toBe(
      converter.capabilities.order,
    );
  });

  it('refuses a disk that is too large, before writing', async () => {
    const sink = memorySink();
    const size = converter.capabilities.maxSize + 512;
    if (!Number.isSafeInteger(size)) return; // no disk can be that large
    await expect(converter.create(job(size, sink, {}))).rejects.toMatchObject({ code: 'disk-too-large' });
    expect(sink.peak).toBe(0);
  });

  it('refuses an option that it does not know', async () => {
    await expect(converter.create(job(BLOCK_SIZE, memorySink(), { nonsense: 1 }))).rejects.toSatisfy(
      (error) => errorKind(error) === 'definition',
    );
  });

  it('recognises what it wrote, and not just anything', async () => {
    const { sink } = await write(converter, memoryDisk(BLOCK_SIZE, [{ offset: 0, bytes: noise(4096) }]), {});
    const own = await converter.detect(sink.file());
    expect(knownLimits.includes('unrecognisable') ? ['maybe'] : ['yes']).toContain(own);
    expect(await converter.detect(memoryFile(noise(1 << 20, 13)))).not.toBe('yes');
    for (const length of [0, 1, 511, 512, 1024])
      expect(await converter.detect(memoryFile(new Uint8Array(length)))).not.toBe('yes');
  });
}

/** The disks that every set of options is tried on, each written once however many tests look at it. */
export interface WrittenShapes {
  get(shape: Shape): Promise<Written & { readonly reads: readonly { offset: number; length: number }[] }>;
}

/** For use inside a `describe`, at whose end they are let go. */
export function writtenShapes(converter: DiskConverter, options: OptionSet): WrittenShapes {
  const written = new Map<Shape, ReturnType<WrittenShapes['get']>>();
  afterAll(() => written.clear());
  return {
    get: (shape) => {
      const known = written.get(shape);
      if (known !== undefined) return known;
      const source = shape.make();
      const made = write(converter, source, options).then((result) => ({ ...result, reads: source.reads }));
      written.set(shape, made);
      return made;
    },
  };
}

/** What must hold with one set of options. */
export function describeOptions(
  converter: DiskConverter,
  options: OptionSet,
  written: WrittenShapes,
  depth: Depth,
): void {
  for (const shape of shapes) {
    it(`reads back a disk that is ${shape.name}, having read it once`, async () => {
      const { sink, writer, reads } = await written.get(shape);
      expect(overlaps(reads)).toEqual([]);
      expect(sink.size).toBeDefined();
      const source = shape.make();
      await using disk = (await converter.open(sink.file())).disk;
      expect(disk.size).toBe(writer.size);
      expect(disk.size).toBeGreaterThanOrEqual(source.size);
      expect(await compareDisks(source, disk, { signal: never })).toEqual({ equal: true });
      await expectSound(converter, sink.file());
    });
  }

  it('gives the same bytes every time', async () => {
    for (const shape of depth === 'all' ? shapes : telling) {
      const [first, second] = [await written.get(shape), await write(converter, shape.make(), options)];
      await expectSameFiles(first, second);
    }
  }, 60_000);

  it('gives the same bytes however the source reports its holes', async () => {
    const bytes = texture(3 * BLOCK_SIZE, 9);
    bytes.fill(0, BLOCK_SIZE, 2 * BLOCK_SIZE);
    const whole = memoryDisk(bytes.length, [{ offset: 0, bytes }]);
    const sparse = memoryDisk(bytes.length, [
      { offset: 0, bytes: bytes.subarray(0, BLOCK_SIZE) },
      { offset: 2 * BLOCK_SIZE, bytes: bytes.subarray(2 * BLOCK_SIZE) },
    ]);
    await expectSameFiles(await write(converter, whole, options), await write(converter, sparse, options));
  });

  it('reads back any scattering of data', async () => {
    await fc.assert(
      fc.asyncProperty(scatterings(), async ({ size, pieces }) => {
        const { sink } = await write(converter, memoryDisk(size, pieces), options);
        await using disk = (await converter.open(sink.file())).disk;
        expect(await compareDisks(memoryDisk(size, pieces), disk, { signal: never })).toEqual({ equal: true });
      }),
      { numRuns: depth === 'all' ? 15 : 6, seed: 20261123 },
    );
  }, 60_000);

  it('stays within its memory when the device is slow', async () => {
    const sink = memorySink({ beforeWrite: () => new Promise((resolve) => setImmediate(resolve)) });
    const bytes = noise((depth === 'all' ? 16 : 10) * BLOCK_SIZE, 11);
    await write(converter, memoryDisk(bytes.length, [{ offset: 0, bytes }]), options, sink);
    expect(sink.peak).toBeLessThanOrEqual(8 * BLOCK_SIZE);
  }, 60_000);
}

/** The files beside the image included. Holes are not read: they cost nothing. */
async function expectSameFiles({ sink: first }: Written, { sink: second }: Written): Promise<void> {
  expect([...second.files.keys()]).toEqual([...first.files.keys()]);
  const pairs = [
    [first, second] as const,
    ...[...first.files].map(([name, file]) => [file, second.files.get(name)] as const),
  ];
  for (const [one, other] of pairs) {
    if (other === undefined) continue;
    expect(other.size).toBe(one.size);
    expect(await compareDisks(one.file(), other.file(), { signal: never })).toEqual({ equal: true });
  }
}

function overlaps(reads: readonly { offset: number; length: number }[]): unknown[] {
  const sorted = [...reads].sort((a, b) => a.offset - b.offset);
  return sorted.filter((read, index) => {
    const previous = sorted[index - 1];
    return previous !== undefined && read.offset < previous.offset + previous.length;
  });
}
