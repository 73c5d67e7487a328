import { type Detection, DefinitionError, type DiskConverter, type ImageFile, SECTOR_SIZE } from '@polyvisor/core';
import { foreignFormat, isOptical } from './foreign-formats.js';

/** Length of the blank image that tells which converters accept anything, in bytes. */
const BLANK = 1024 * 1024;

/** What a file is, and what a person should know about that. */
export interface Recognition {
  readonly converter: DiskConverter;
  readonly notes: readonly string[];
}

/**
 * Asks every converter about a file. One that is sure wins. Else one that finds it possible, where those that find
 * everything possible (a format without marks of its own) count only when nobody else does, and only when nothing speaks
 * against it: neither the mark of a format that nobody reads, nor a name that promises another one.
 */
export async function recogniseFormat(file: ImageFile, converters: readonly DiskConverter[]): Promise<Recognition> {
  const answers = await Promise.all(
    converters.map(async (converter) => ({ converter, detection: await converter.detect(file) })),
  );
  const saying = (wanted: Detection) =>
    answers.filter(({ detection }) => detection === wanted).map(({ converter }) => converter);

  const sure = saying('yes');
  if (sure.length > 0) return withNotes(file, onlyOne(file, sure), converters);
  const possible = saying('maybe');
  const blank = blankFile(file.path);
  const accepts = await Promise.all(possible.map((converter) => converter.detect(blank)));
  const marked = possible.filter((_, index) => accepts[index] === 'no');
  if (marked.length > 0) return withNotes(file, onlyOne(file, marked), converters);

  const foreign = await foreignFormat(file);
  if (foreign !== undefined) {
    const raw = possible[0] === undefined ? '' : `, or take it byte for byte with --from ${possible[0].id}`;
    throw new DefinitionError('format-unsupported', `${file.path} is ${foreign.name}, which no loaded plugin reads`, {
      hint: `${foreign.hint}${raw}`,
    });
  }
  if (possible.length > 0) return withoutMarks(file, onlyOne(file, possible), converters);
  throw new DefinitionError('format-unknown', `${file.path} (${file.size} bytes) is of no format that is loaded`, {
    hint: `say which it is with --from: ${converters.map(({ id }) => id).join(', ')}`,
  });
}

function withNotes(file: ImageFile, converter: DiskConverter, all: readonly DiskConverter[]): Recognition {
  const [extension, others] = promised(file, converter, all);
  const ids = others.map(({ id }) => id).join(', ');
  return {
    converter,
    notes: others.length === 0 ? [] : [`${file.path} is ${converter.id}, although ${extension} is the name of ${ids}`],
  };
}

/** A file that could be anything is what its name does not contradict. */
async function withoutMarks(
  file: ImageFile,
  converter: DiskConverter,
  all: readonly DiskConverter[],
): Promise<Recognition> {
  const [extension, others] = promised(file, converter, all);
  const [other] = others;
  if (other !== undefined) {
    throw new DefinitionError(
      'format-uncertain',
      `${file.path} is called ${extension} and has nothing in it that ${other.id} has: it is damaged, cut off, or called wrongly`,
      {
        hint: `if it is ${converter.id}, say so with --from ${converter.id}; --from ${other.id} tells what is missing`,
      },
    );
  }
  const notes: string[] = [];
  if (await isOptical(file))
    notes.push(`${file.path} is the image of an optical disc: it is taken as a disk with its bytes`);
  const rest = file.size % SECTOR_SIZE;
  if (rest !== 0) {
    notes.push(
      `${file.path} is no whole number of sectors of ${SECTOR_SIZE} bytes (${rest} too many): it may be cut off; the last sector is filled up with zeros`,
    );
  }
  return { converter, notes };
}

/** The extension of a file and the converters whose it is, unless it is the one that fits. */
function promised(
  { path }: ImageFile,
  converter: DiskConverter,
  all: readonly DiskConverter[],
): readonly [string, readonly DiskConverter[]] {
  const name = path.toLowerCase();
  const named = all.filter(({ extension }) => name.endsWith(extension));
  if (named.some(({ extension }) => extension === converter.extension)) return ['', []];
  return [named[0]?.extension ?? '', named];
}

function onlyOne(file: ImageFile, candidates: readonly DiskConverter[]): DiskConverter {
  const [first, second] = candidates;
  if (first !== undefined && second === undefined) return first;
  // Of several, those whose extension the file has.
  const named = candidates.filter(({ extension }) => file.path.toLowerCase().endsWith(extension));
  if (named.length === 1 && named[0] !== undefined) return named[0];
  const ids = candidates.map(({ id }) => id);
  throw new DefinitionError('format-ambiguous', `${file.path} could be ${ids.join(' or ')}`, {
    hint: `say which it is: --from ${ids[0] ?? ''}`,
  });
}

function blankFile(path: string): ImageFile {
  return {
    path,
    size: BLANK,
    async *extents() {
      // all zeros
    },
    read: (into) => {
      into.fill(0);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
