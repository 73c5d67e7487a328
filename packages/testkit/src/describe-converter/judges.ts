import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import {
  commitOutputs,
  createOutput,
  type DiskConverter,
  type DiskSource,
  type OutputFile,
  pump,
} from '@polyvisor/core';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { memorySink } from '../memory.js';
import { available, type Oracle, type Verdict } from '../oracles.js';
import { shapes, telling } from '../shapes.js';
import { type Depth, type OptionSet } from './suite.js';
import { job, never } from './write.js';

/** Every judge on the shapes, as real files that are written once for all of them. */
export function describeOracles(
  converter: DiskConverter,
  options: OptionSet,
  oracles: readonly Oracle[],
  depth: Depth,
): void {
  const present = new Map(oracles.map((oracle) => [oracle, available(oracle.command, oracle.debianPackage)]));
  describe('judged', () => {
    let directory = '';
    const verdicts: Verdict[] = [];
    beforeAll(async () => {
      if (![...present.values()].includes(true)) return;
      directory = await mkdtemp(join(tmpdir(), 'polyvisor-test-'));
      for (const [index, shape] of (depth === 'all' ? shapes : telling).entries()) {
        const image = join(directory, `${index}${converter.extension}`);
        const raw = join(directory, `${index}.raw`);
        const size = await writeFileImage(converter, shape.make(), options, image);
        await writeRaw(shape.make(), raw);
        verdicts.push({ image, raw, size });
      }
    }, 60_000);
    afterAll(async () => {
      for (const oracle of oracles) await oracle.end?.();
      if (directory !== '') await rm(directory, { recursive: true, force: true });
    });

    for (const oracle of oracles) {
      it.skipIf(present.get(oracle) !== true)(
        `agrees with ${oracle.name}`,
        async () => {
          for (const verdict of verdicts) await oracle.judge(verdict);
        },
        120_000,
      );
    }
  });
}

/** Writes an image, and what lies beside it, to disk. Returns the guest-visible size that the writer announces. */
export async function writeFileImage(
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

/** Writes a disk as a sparse raw file. */
export async function writeRaw(source: DiskSource, path: string): Promise<void> {
  const output = await createOutput(path, false);
  for await (const { offset, length } of source.extents()) {
    const bytes = new Uint8Array(length);
    await source.read(bytes, offset);
    await output.sink.write(bytes, offset);
  }
  await output.sink.end(source.size);
  await commitOutputs([output], false);
}
