import { type Detection, DefinitionError, type DiskConverter, type ImageFile } from '@polyvisor/core';

/** Length of the blank image that tells which converters accept anything, in bytes. */
const BLANK = 1024 * 1024;

/**
 * Asks every converter about a file. One that is sure wins. Else one that finds it possible, where those that find
 * everything possible (a format without marks of its own) count only when nobody else does.
 */
export async function detectFormat(file: ImageFile, converters: readonly DiskConverter[]): Promise<DiskConverter> {
  const answers = await Promise.all(
    converters.map(async (converter) => ({ converter, detection: await converter.detect(file) })),
  );
  const saying = (wanted: Detection) =>
    answers.filter(({ detection }) => detection === wanted).map(({ converter }) => converter);

  const sure = saying('yes');
  if (sure.length > 0) return onlyOne(file, sure);
  const possible = saying('maybe');
  const blank = blankFile(file.path);
  const accepts = await Promise.all(possible.map((converter) => converter.detect(blank)));
  const marked = possible.filter((_, index) => accepts[index] === 'no');
  if (marked.length > 0) return onlyOne(file, marked);
  if (possible.length > 0) return onlyOne(file, possible);
  throw new DefinitionError('format-unknown', `${file.path} (${file.size} bytes) is of no format that is loaded`, {
    hint: `say which it is with --from: ${converters.map(({ id }) => id).join(', ')}`,
  });
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
