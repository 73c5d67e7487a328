import { commitOutputs, createOutput, DefinitionError, FormatError, type OutputFile } from '@polyvisor/core';
import { findRecord } from './iso-reader/find-record.js';
import { type IsoFile, isoInvalid, openIsoFile } from './iso-reader/iso-file.js';
import { type IsoRecord, systemUseSkip } from './iso-reader/read-directory.js';
import type { ReadingRules } from './iso-reader/read-directory.js';
import { readVolumes } from './iso-reader/read-volume.js';

/** Bytes copied at once. */
const PIECE = 1024 ** 2;

/**
 * Copies a file out of an ISO 9660 image into a new file. `innerPath` is looked up as Linux would show it: the names of
 * Rock Ridge, else Joliet's, else the plain ones without `;1`; in either case. A bootable (hybrid) image is read just so.
 */
export async function extractFromIso(
  iso: string,
  innerPath: string,
  output: string,
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  await using file = await openIsoFile(iso, signal);
  const record = await findRecord(file, innerPath, await readingRules(file));
  checkPlain(file, record, innerPath);
  const target = await createOutput(output, false);
  try {
    await copy(file, record, target);
    await commitOutputs([target], false);
  } finally {
    await target.discard();
  }
}

/** Rock Ridge is preferred: its names are those that the maker of the image meant. */
async function readingRules(file: IsoFile): Promise<ReadingRules> {
  const { primary, joliet } = await readVolumes(file);
  const skip = await systemUseSkip(file, primary.root);
  if (skip !== undefined) return { volume: primary, systemUseSkip: skip };
  return { volume: joliet ?? primary };
}

function checkPlain(file: IsoFile, record: IsoRecord, innerPath: string): void {
  const is = (what: string) =>
    new DefinitionError('iso-path-missing', `${innerPath} in ${file.path} is ${what}`, { hint: 'name a plain file' });
  if (record.isDirectory || record.rockRidge?.movedTo !== undefined) throw is('a directory');
  if (record.rockRidge?.link === true) throw is('a symbolic link');
  if (record.interleaved || record.rockRidge?.compressed === true)
    throw new FormatError('iso-unsupported', `${innerPath} is stored in a way that is not read`, {
      file: file.path,
      offset: record.offset,
      expected: 'plain data',
      found: record.interleaved ? 'interleaved blocks' : 'data compressed by zisofs',
      hint: 'take the file out of the image with another program, such as xorriso, and name that',
    });
  const total = record.extents.reduce((sum, { length }) => sum + length, 0);
  if (total > file.size) throw isoInvalid(file.path, record.offset, `a file of at most ${file.size} bytes`, `${total}`);
}

async function copy(file: IsoFile, record: IsoRecord, target: OutputFile): Promise<void> {
  let written = 0;
  for (const { offset, length } of record.extents)
    for (let done = 0; done < length; done += PIECE) {
      const bytes = await file.read(offset + done, Math.min(PIECE, length - done), 'the file that is taken out of it');
      await target.sink.write(bytes, written);
      written += bytes.length;
    }
  await target.sink.end(written);
}
