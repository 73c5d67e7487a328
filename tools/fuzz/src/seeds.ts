import type { DiskConverter } from '@polyvisor/core';
import { memoryDisk, texture, write } from '@polyvisor/testkit';
import { optionsSchema } from '@polyvisor/host';
import { MAX_INPUT } from './mutate.js';

const MiB = 1024 * 1024;

interface OptionSchema {
  readonly enum?: readonly unknown[];
  readonly type?: string;
  readonly anyOf?: readonly OptionSchema[];
}

/** Small images that a converter writes itself: with its defaults, and with each value that an option can be set to. */
export async function seeds(converter: DiskConverter): Promise<readonly Uint8Array[]> {
  const images: Uint8Array[] = [];
  for (const options of [{}, ...singleOptions(converter)]) {
    try {
      const { sink } = await write(converter, sampleDisk(), options);
      const files = [sink, ...sink.files.values()];
      for (const file of files) if (file.size !== undefined && file.size <= MAX_INPUT) images.push(file.bytes());
    } catch {
      // not every value goes with the defaults of the others, and not every codec is on every machine
    }
  }
  return images;
}

/** Little that cannot be compressed, because the inputs that come of it are kept. */
function sampleDisk() {
  return memoryDisk(4 * MiB, [
    { offset: 0, bytes: texture(1024, 31) },
    { offset: 1 * MiB + 4096, bytes: repeated(texture(512, 32), 160) },
    { offset: 4 * MiB - 512, bytes: texture(512, 33) },
  ]);
}

function repeated(bytes: Uint8Array, times: number): Uint8Array {
  const whole = new Uint8Array(bytes.length * times);
  for (let n = 0; n < times; n++) whole.set(bytes, n * bytes.length);
  return whole;
}

function singleOptions(converter: DiskConverter): Record<string, unknown>[] {
  const { properties = {} } = optionsSchema(converter.options) as { properties?: Record<string, OptionSchema> };
  return Object.entries(properties).flatMap(([name, schema]) => values(schema).map((value) => ({ [name]: value })));
}

function values(schema: OptionSchema): readonly unknown[] {
  if (schema.enum !== undefined) return schema.enum;
  if (schema.type === 'boolean') return [true, false];
  return (schema.anyOf ?? []).flatMap(values);
}
