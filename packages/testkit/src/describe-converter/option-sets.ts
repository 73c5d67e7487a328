import { compareDisks, type DiskConverter, errorKind } from '@polyvisor/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { memoryDisk, texture } from '../memory.js';
import { expectSound } from './check.js';
import { type ConverterSuite, type OptionSet } from './suite.js';
import { never, write } from './write.js';

const KiB = 1024;

/** Options drawn by lot. `create` may refuse what does not go together; whatever it takes must work. */
export function describeRandomOptions(converter: DiskConverter, { variants = {} }: ConverterSuite): void {
  const sets = randomOptions(converter, Object.values(variants));
  if (sets === undefined) return;
  it('reads back what it wrote with any options that go together', async () => {
    const size = 3 * 1024 * KiB + 512;
    const pieces = [
      { offset: 0, bytes: texture(20 * KiB + 512, 31) },
      { offset: 1100 * KiB, bytes: texture(700 * KiB, 32) },
      { offset: size - 512, bytes: texture(512, 33) },
    ];
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(sets, async (options) => {
        try {
          const { sink, writer } = await write(converter, memoryDisk(size, pieces), options);
          await using disk = (await converter.open(sink.file())).disk;
          expect(disk.size).toBe(writer.size);
          expect(await compareDisks(memoryDisk(size, pieces), disk, { signal: never })).toEqual({ equal: true });
          await expectSound(converter, sink.file());
          accepted++;
        } catch (error) {
          // An environment may lack a method of compression.
          if (!['definition', 'environment'].includes(errorKind(error) ?? '')) throw error;
        }
      }),
      { numRuns: 24, seed: 20261124 },
    );
    expect(accepted).toBeGreaterThan(0);
  }, 60_000);
}

/** Any of the options, each with any of the values that its schema lists or that a variant uses. Undefined: there are none. */
function randomOptions(converter: DiskConverter, variants: readonly OptionSet[]): fc.Arbitrary<OptionSet> | undefined {
  const schema = z.toJSONSchema(converter.options, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const options = Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const used = variants.filter((variant) => name in variant).map((variant) => fc.constant(variant[name]));
    const values = [...valuesOf(property), ...used];
    return values.length === 0 ? [] : [[name, fc.oneof(...values)] as const];
  });
  if (options.length === 0) return undefined;
  return fc.record(Object.fromEntries(options), { requiredKeys: [] });
}

/** What is looked at of a JSON Schema. */
interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
}

function valuesOf(schema: JsonSchema): fc.Arbitrary<unknown>[] {
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap(valuesOf);
  if (schema.enum !== undefined) return [fc.constantFrom(...schema.enum)];
  if (schema.const !== undefined) return [fc.constant(schema.const)];
  if (schema.type === 'boolean') return [fc.boolean()];
  if (schema.type === 'integer' && isBounded(schema.minimum) && isBounded(schema.maximum))
    return [fc.integer({ min: schema.minimum, max: schema.maximum })];
  return [];
}

/** zod's own bounds of an integer are those of the language, not the option's. */
function isBounded(bound: number | undefined): bound is number {
  return bound !== undefined && Math.abs(bound) < 2 ** 31;
}
