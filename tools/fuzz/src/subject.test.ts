import { type DiskConverter, type DiskSource, FormatError, type OpenImage } from '@polyvisor/core';
import { memoryDisk, noise } from '@polyvisor/testkit';
import { describe, expect, it } from 'vitest';
import { fuzz } from './fuzz.js';
import { createRandom } from './random.js';
import { exercise, mended, Violation } from './subject.js';

const input = noise(4096);

function reader(open: (bytes: Uint8Array) => DiskSource, more: Partial<DiskConverter> = {}): DiskConverter {
  return {
    id: 'fake',
    detect: () => Promise.resolve('yes'),
    open: async (file): Promise<OpenImage> => {
      const bytes = new Uint8Array(file.size);
      await file.read(bytes, 0);
      return { disk: open(bytes), facts: {} };
    },
    ...more,
  } as DiskConverter;
}

const sound = () => memoryDisk(4096, [{ offset: 512, bytes: noise(1024) }]);

describe('a reader misbehaves when it', () => {
  const cases: Readonly<Record<string, DiskConverter>> = {
    'throws anything but a refusal': reader(() => {
      throw new TypeError('cannot read properties of undefined');
    }),
    'has a disk of no sectors': reader(() => memoryDisk(100, [])),
    'tells extents out of order': reader(() => ({
      ...sound(),
      async *extents() {
        await Promise.resolve();
        yield { offset: 1024, length: 512 };
        yield { offset: 512, length: 512 };
      },
    })),
    'tells extents beyond its disk': reader(() => ({
      ...sound(),
      async *extents() {
        await Promise.resolve();
        yield { offset: 4096, length: 512 };
      },
    })),
    'reads something else the second time': reader(() => {
      let reads = 0;
      return { ...sound(), read: (into) => Promise.resolve(void into.fill(reads++)) };
    }),
    'rejects with a plain error while it checks': reader(sound, {
      // eslint-disable-next-line require-yield -- it fails before
      check: async function* () {
        await Promise.reject(new RangeError('offset is out of bounds'));
      },
    }),
    'would patch what is before the file': reader(sound, {
      repair: async function* () {
        await Promise.resolve();
        yield { offset: -512, bytes: noise(512), reason: 'no' };
      },
    }),
  };
  for (const [name, converter] of Object.entries(cases)) {
    it(name, () => expect(exercise(converter, input)).rejects.toBeInstanceOf(Violation));
  }
});

it('a reader behaves when it reads, and when it refuses', async () => {
  await exercise(reader(sound), input);
  await exercise(
    reader(() => {
      throw new FormatError('fake-invalid', 'not a fake');
    }),
    input,
  );
});

it('mends an input with the patches of its converter', async () => {
  const converter = reader(sound, {
    repair: async function* () {
      await Promise.resolve();
      yield { offset: 4, bytes: new Uint8Array([1, 2, 3]), reason: 'checksum' };
      yield { offset: 4096, bytes: new Uint8Array([9]), reason: 'footer' };
      yield { offset: 1e9, bytes: new Uint8Array([9]), reason: 'too far to follow' };
    },
  });
  const result = await mended(converter, input, 8192);
  expect(result.length).toBe(4097);
  expect([...result.subarray(3, 8)]).toEqual([input[3], 1, 2, 3, input[7]]);
  expect(result[4096]).toBe(9);
});

it('finds by coverage what blind mutation would not', async () => {
  // Three bytes in a row must be right, each one bit away; each one that is opens a new branch.
  const secret = [0x21, 0x22, 0x24];
  let reached = new Set<string>();
  const converter = reader((bytes) => {
    const right = secret.findIndex((byte, index) => bytes[index] !== byte);
    reached.add(String(right));
    if (right < 0) throw new TypeError('found');
    return sound();
  });
  const found: Uint8Array[] = [];
  let runs = 0;
  await fuzz({
    converter,
    inputs: [new Uint8Array(16).fill(0x20)],
    coverage: {
      take: () => {
        const features = reached;
        reached = new Set();
        return Promise.resolve(features);
      },
      stop: () => undefined,
    },
    random: createRandom(2),
    goOn: () => found.length === 0 && runs < 50_000,
    before: () => void runs++,
    onViolation: (bytes) => void found.push(bytes),
    onNews: () => undefined,
  });
  expect(found.map((bytes) => [...bytes.subarray(0, 3)])).toEqual([secret]);
}, 60_000);
