import {
  type CheckOptions,
  type DiskConverter,
  type DiskSource,
  dataSize,
  errorKind,
  type Finding,
  type ImageFile,
  stage,
} from '@polyvisor/core';
import { openDisk, type RecognisedFile } from '../image-file.js';
import type { ImageOptions } from '../image-options.js';
import { readData } from '../read-data.js';
import type { Session } from '../session.js';
import { diskFindings } from './disk-rules.js';
import { findingOrThrow } from './judge.js';
import type { FindingTally } from './tally.js';

/** Time between two words on how far a check has got, in milliseconds. */
const INTERVAL = 500;

/** Runs every rule there is over an image: its format's, then those on the disk in it. Returns what a person should know beside. */
export async function examine(
  run: Session,
  image: Pick<RecognisedFile, 'path' | 'file' | 'converter'>,
  tally: FindingTally,
  consumer: string | undefined,
  options: ImageOptions = {},
): Promise<readonly string[]> {
  const { path, converter } = image;
  const consumers = converter.capabilities.consumers ?? (consumer === undefined ? [] : [consumer]);
  const notes: string[] = [];
  await stage(run.emit, 'check', `checking ${path}`, async () => {
    const file = observed(image.file, run);
    if (converter.check === undefined) {
      notes.push(`${converter.id} has no rules to check, so all of its data was read instead`);
    } else {
      const facts = { signal: run.signal, now: Math.floor(Date.now() / 1000) };
      await gather(
        run,
        tally,
        consumers,
        converter.check(file, consumer === undefined ? facts : { ...facts, consumer }),
      );
      if (consumer === undefined) await askEverybody(file, converter, consumers, tally, facts);
    }
    try {
      await using disk = await openDisk(run, { path, file, converter }, options);
      if (converter.check === undefined) await readAll(run, disk);
      await gather(run, tally, [], diskFindings(disk, converter, consumer), true);
    } catch (error) {
      run.signal.throwIfAborted();
      const code = (error as { code?: unknown }).code;
      if (code === 'parent-missing')
        notes.push('the disk itself was not looked at: the rest of it is in a parent image');
      else if (errorKind(error) === 'definition') notes.push(`the disk itself was not looked at: ${String(error)}`);
      // What keeps the reader from opening it has been found by the rules, as a rule.
      else {
        const finding = findingOrThrow(error, consumers);
        if (!tally.broken) tally.add(finding);
      }
    }
  });
  return notes;
}

/** What each consumer refuses beside what is wrong for all: converters tell it only of the one that they are asked for. */
async function askEverybody(
  file: ImageFile,
  converter: DiskConverter,
  consumers: readonly string[],
  tally: FindingTally,
  facts: CheckOptions,
): Promise<void> {
  for (const consumer of consumers) {
    try {
      for await (const { rule, refusedBy } of converter.check?.(file, { ...facts, consumer }) ?? []) {
        facts.signal.throwIfAborted();
        if (refusedBy.includes(consumer)) tally.addRefusal(consumer, rule);
      }
    } catch (error) {
      facts.signal.throwIfAborted();
      tally.addRefusal(consumer, findingOrThrow(error, [consumer]).rule);
    }
  }
}

/** A check that ends with a refusal has found one more thing. `rethrow` leaves that to the caller. */
async function gather(
  { signal }: Session,
  tally: FindingTally,
  consumers: readonly string[],
  findings: AsyncIterable<Finding>,
  rethrow = false,
): Promise<void> {
  try {
    for await (const finding of findings) {
      signal.throwIfAborted();
      tally.add(finding);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (rethrow) throw error;
    tally.add(findingOrThrow(error, consumers));
  }
}

async function readAll(run: Session, disk: DiskSource): Promise<void> {
  await readData(disk, await dataSize(disk, run.signal), 'check', run);
}

/** The same file, which says now and then how much of it was read. */
function observed(file: ImageFile, { emit }: Session): ImageFile {
  let read = 0;
  let told = performance.now();
  return {
    path: file.path,
    size: file.size,
    extents: (signal) => file.extents(signal),
    read: async (into, offset) => {
      await file.read(into, offset);
      read += into.length;
      if (performance.now() - told < INTERVAL) return;
      told = performance.now();
      emit({ type: 'waiting', stage: 'check', message: `${Math.round(read / 2 ** 20)} MiB read` });
    },
    ...(file.beside === undefined ? {} : { beside: file.beside.bind(file) }),
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}
