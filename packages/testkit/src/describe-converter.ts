import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import {
  BLOCK_SIZE,
  compareDisks,
  type ConvertJob,
  convert,
  createDeflater,
  createIdentity,
  createOutput,
  commitOutputs,
  digest,
  type DiskConverter,
  type DiskSource,
  type DiskWriter,
  errorKind,
  openImageFile,
  type OutputFile,
  pump,
} from '@polyvisor/core';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleFacts } from './facts.js';
import { memoryDisk, memoryFile, type MemorySink, memorySink, noise, type Piece, texture } from './memory.js';
import { available, type Oracle } from './oracles.js';
import { shapes } from './shapes.js';

export interface ConverterSuite {
  /** Programs that judge what was written, on every shape and with every set of options. */
  readonly oracles: readonly Oracle[];
  /** Sets of options to try beside the defaults, by a name for the test. */
  readonly variants?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /**
   * What the format cannot do, each a decision of its own:
   * `unrecognisable`: nothing in the file says what it is (raw), so `detect` answers "maybe" at best;
   * `no-redundancy`: the file is the disk, so damage to it is not an error.
   */
  readonly knownLimits?: readonly ('unrecognisable' | 'no-redundancy')[];
}

const never = new AbortController().signal;

/** Everything that must hold for every converter. A plugin's own test calls it; a new rule lands here and applies to all. */
export function describeConverter(
  converter: DiskConverter,
  { oracles, variants = {}, knownLimits = [] }: ConverterSuite,
): void {
  const optionSets = { 'default options': {}, ...variants };

  describe(`${converter.id} keeps the converter contract`, () => {
    it('describes itself', () => {
      expect(converter.id).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(converter.extension).toMatch(/^\.[a-z0-9.]+$/);
      expect(converter.summary.length).toBeGreaterThan(0);
      expect(converter.capabilities.maxSize).toBeGreaterThan(0);
      expect(converter.capabilities.sizeMultiple % 512).toBe(0);
      expect(converter.capabilities.hypervisors.length).toBeGreaterThan(0);
    });

    for (const [name, options] of Object.entries(optionSets)) {
      describe(name, () => {
        for (const shape of shapes) {
          it(`reads back a disk that is ${shape.name}, having read it once`, async () => {
            const source = shape.make();
            const { sink, writer } = await write(converter, source, options);
            expect(overlaps(source.reads)).toEqual([]);
            expect(sink.size).toBeDefined();
            const { disk } = await converter.open(sink.file());
            expect(disk.size).toBe(writer.size);
            expect(disk.size).toBeGreaterThanOrEqual(source.size);
            expect(await compareDisks(shape.make(), disk, { signal: never })).toEqual({ equal: true });
          });
        }

        it('gives the same bytes every time', async () => {
          for (const shape of shapes) {
            const [first, second] = [
              await write(converter, shape.make(), options),
              await write(converter, shape.make(), options),
            ];
            expect(await digest(first.sink.file(), 'sha256')).toBe(await digest(second.sink.file(), 'sha256'));
          }
        }, 60_000);

        it('gives the same bytes however the source reports its holes', async () => {
          const bytes = texture(3 * BLOCK_SIZE, 9);
          bytes.fill(0, BLOCK_SIZE, 2 * BLOCK_SIZE);
          const whole = await write(converter, memoryDisk(bytes.length, [{ offset: 0, bytes }]), options);
          const pieces = [bytes.subarray(0, BLOCK_SIZE), bytes.subarray(2 * BLOCK_SIZE)];
          const sparse = await write(
            converter,
            memoryDisk(bytes.length, [
              { offset: 0, bytes: pieces[0] as Uint8Array },
              { offset: 2 * BLOCK_SIZE, bytes: pieces[1] as Uint8Array },
            ]),
            options,
          );
          expect(await digest(sparse.sink.file(), 'sha256')).toBe(await digest(whole.sink.file(), 'sha256'));
        });

        it('reads back any scattering of data', async () => {
          await fc.assert(
            fc.asyncProperty(scatterings(), async ({ size, pieces }) => {
              const { sink } = await write(converter, memoryDisk(size, pieces), options);
              const { disk } = await converter.open(sink.file());
              expect(await compareDisks(memoryDisk(size, pieces), disk, { signal: never })).toEqual({ equal: true });
            }),
            { numRuns: 15, seed: 20261123 },
          );
        }, 60_000);

        it('stays within its memory when the device is slow', async () => {
          const sink = memorySink({
            appendOnly: converter.capabilities.order === 'append',
            beforeWrite: () => new Promise((resolve) => setImmediate(resolve)),
          });
          const bytes = noise(24 * BLOCK_SIZE, 11);
          await write(converter, memoryDisk(bytes.length, [{ offset: 0, bytes }]), options, sink);
          expect(sink.peak).toBeLessThanOrEqual(8 * BLOCK_SIZE);
        }, 60_000);

        it('passes on a failure of the device', async () => {
          const full = new Error('no space left');
          const sink = memorySink({
            beforeWrite: () => {
              throw full;
            },
          });
          await expect(
            write(converter, memoryDisk(BLOCK_SIZE, [{ offset: 0, bytes: noise(BLOCK_SIZE) }]), options, sink),
          ).rejects.toBe(full);
        });

        if (oracles.length > 0) describeOracles(converter, options, oracles);
      });
    }

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

    if (!knownLimits.includes('no-redundancy')) describeHostility(converter);
    describeFiles(converter);
  });
}

function describeOracles(
  converter: DiskConverter,
  options: Readonly<Record<string, unknown>>,
  oracles: readonly Oracle[],
): void {
  for (const oracle of oracles) {
    it.skipIf(!available(oracle.command, oracle.debianPackage))(
      `agrees with ${oracle.name}`,
      async () => {
        await inTemporaryDirectory(async (directory) => {
          for (const [index, shape] of shapes.entries()) {
            const image = join(directory, `${index}${converter.extension}`);
            const raw = join(directory, `${index}.raw`);
            const size = await writeFileImage(converter, shape.make(), options, image);
            await writeRaw(shape.make(), raw);
            await oracle.judge({ image, raw, size });
          }
        });
      },
      60_000,
    );
  }
}

function describeHostility(converter: DiskConverter): void {
  it('survives truncation anywhere', async () => {
    const { sink } = await write(
      converter,
      memoryDisk(BLOCK_SIZE, [{ offset: 64 * 1024, bytes: texture(96 * 1024, 17) }]),
      {},
    );
    const whole = sink.bytes();
    for (let length = 0; length < whole.length; length += 512)
      await refusesOrReads(converter, whole.subarray(0, length));
  }, 120_000);

  it('survives flipped bits', async () => {
    const { sink } = await write(
      converter,
      memoryDisk(BLOCK_SIZE, [{ offset: 64 * 1024, bytes: texture(96 * 1024, 17) }]),
      {},
    );
    const whole = sink.bytes();
    const positions = new DataView(noise(4 * 300, 19).buffer);
    for (let flip = 0; flip < 300; flip++) {
      const damaged = whole.slice();
      const random = positions.getUint32(flip * 4);
      // Half of the flips go where the tables are: into the first and the last 4 KiB.
      const at =
        flip % 2 === 0
          ? random % whole.length
          : flip % 4 === 1
            ? random % Math.min(4096, whole.length)
            : whole.length - 1 - (random % Math.min(4096, whole.length));
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (flip % 8));
      await refusesOrReads(converter, damaged);
    }
  }, 120_000);
}

/** Opens and reads everything. A `FormatError` is fine, and so is success; anything else is not. */
async function refusesOrReads(converter: DiskConverter, bytes: Uint8Array): Promise<void> {
  try {
    await converter.detect(memoryFile(bytes));
    const { disk } = await converter.open(memoryFile(bytes));
    const chunk = new Uint8Array(BLOCK_SIZE);
    for await (const { offset, length } of disk.extents()) {
      for (let at = offset; at < offset + length; at += chunk.length)
        await disk.read(chunk.subarray(0, Math.min(chunk.length, offset + length - at)), at);
    }
    await disk[Symbol.asyncDispose]();
  } catch (error) {
    if (errorKind(error) !== 'format') throw error;
  }
}

function describeFiles(converter: DiskConverter): void {
  describe('as files', () => {
    let directory = '';
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

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
      const target = { converter, options: {}, path: join(directory, `out${converter.extension}`) };
      await expect(
        convert({
          source: cancelling,
          targets: [target],
          identity: createIdentity('test'),
          appliance: sampleFacts,
          force: false,
          verify: false,
          emit: () => undefined,
          signal: cancel.signal,
        }),
      ).rejects.toThrow('enough');
      expect(await readdir(directory)).toEqual([]);
    });

    it('is hashed, measured and verified by convert', async () => {
      const source = memoryDisk(2 * BLOCK_SIZE, [{ offset: 4096, bytes: texture(300_000, 23) }]);
      const path = join(directory, `out${converter.extension}`);
      const [artifact] = await convert({
        source,
        targets: [{ converter, options: {}, path }],
        identity: createIdentity('test'),
        appliance: sampleFacts,
        force: false,
        verify: true,
        emit: () => undefined,
        signal: never,
      });
      await using file = await openImageFile(path);
      expect(artifact).toMatchObject({
        path,
        format: converter.id,
        bytes: file.size,
        sha256: await digest(file, 'sha256'),
      });
      expect(await readdir(directory)).toEqual([`out${converter.extension}`]);
    });
  });
}

/** Writes a disk through the pump into memory, as `convert` does into files. */
export async function write(
  converter: DiskConverter,
  source: DiskSource,
  options: unknown,
  sink?: MemorySink,
): Promise<{ sink: MemorySink; writer: DiskWriter }> {
  const target = sink ?? memorySink({ appendOnly: converter.capabilities.order === 'append' });
  const writer = await converter.create(job(source.size, target, options));
  try {
    await pump(source, [writer], { signal: never });
    await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return { sink: target, writer };
}

/** A job for a converter under test: fixed identity, sample appliance. */
export function job(size: number, sink: MemorySink, options: unknown): ConvertJob {
  return {
    size,
    sink,
    output: { name: 'disk', beside: (name) => sink.beside(name) },
    furtherDisks: [],
    options,
    identity: createIdentity('test'),
    deflater: createDeflater(),
    appliance: sampleFacts,
    signal: never,
  };
}

async function writeFileImage(
  converter: DiskConverter,
  source: DiskSource,
  options: unknown,
  path: string,
): Promise<number> {
  const outputs = [await createOutput(path, false)];
  const beside = async (name: string) => {
    const further = await createOutput(join(dirname(path), name), false);
    outputs.push(further);
    return further.sink;
  };
  const writer = await converter.create({
    ...job(source.size, memorySink(), options),
    sink: (outputs[0] as OutputFile).sink,
    output: { name: basename(path), beside },
  });
  await pump(source, [writer], { signal: never });
  await writer.finish();
  await commitOutputs(outputs, false);
  return writer.size;
}

async function writeRaw(source: DiskSource, path: string): Promise<void> {
  const output = await createOutput(path, false);
  for await (const { offset, length } of source.extents()) {
    const bytes = new Uint8Array(length);
    await source.read(bytes, offset);
    await output.sink.write(bytes, offset);
  }
  await output.sink.end(source.size);
  await commitOutputs([output], false);
}

async function inTemporaryDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function overlaps(reads: readonly { offset: number; length: number }[]): unknown[] {
  const sorted = [...reads].sort((a, b) => a.offset - b.offset);
  return sorted.filter((read, index) => {
    const previous = sorted[index - 1];
    return previous !== undefined && read.offset < previous.offset + previous.length;
  });
}

/** Disks of odd sizes with a few pieces anywhere, some of them zero. */
function scatterings(): fc.Arbitrary<{ size: number; pieces: Piece[] }> {
  const piece = fc.record({
    gap: fc.integer({ min: 0, max: 9000 }),
    sectors: fc.integer({ min: 1, max: 700 }),
    seed: fc.integer({ min: 1, max: 1000 }),
    zero: fc.boolean(),
  });
  return fc
    .record({ pieces: fc.array(piece, { maxLength: 6 }), tail: fc.integer({ min: 1, max: 9000 }) })
    .map(({ pieces, tail }) => {
      let position = 0;
      const placed = pieces.map(({ gap, sectors, seed, zero }): Piece => {
        const offset = (position + gap) * 512;
        position += gap + sectors;
        return { offset, bytes: zero ? new Uint8Array(sectors * 512) : texture(sectors * 512, seed) };
      });
      return { size: (position + tail) * 512, pieces: placed };
    });
}
