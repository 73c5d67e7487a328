import { type ImageFile, readPadded, roundUp } from '@polyvisor/core';
import type { HeaderFields } from './header-fields.js';
import type { Problem } from './header-rules.js';
import { CONSUMERS, EXTENSION } from './layout.js';

export interface HeaderExtension {
  readonly type: number;
  /** Where its data starts in the file. */
  readonly offset: number;
  readonly data: Buffer;
}

/** Five types are known; a header of 2 MiB could hold a quarter of a million. */
const MAX_EXTENSIONS = 256;

const NAMES: ReadonlyMap<number, string> = new Map([
  [EXTENSION.backingFormat, 'backing format'],
  [EXTENSION.featureNames, 'feature names'],
  [EXTENSION.bitmaps, 'bitmaps'],
  [EXTENSION.encryption, 'encryption header'],
  [EXTENSION.dataFile, 'external data file'],
]);

/** For people: the name of a known type, the number of another one. */
export function extensionName(type: number): string {
  return NAMES.get(type) ?? `0x${type.toString(16).padStart(8, '0')}`;
}

/** The list behind the header. It ends with type 0, at the backing file's name, or with the first cluster. */
export async function readExtensions(
  file: ImageFile,
  header: HeaderFields,
): Promise<{ readonly extensions: readonly HeaderExtension[]; readonly problem?: Problem }> {
  const clusterSize = 2 ** header.clusterBits;
  const start = header.headerLength;
  const backing = header.backingOffset === 0n ? clusterSize : Number(header.backingOffset);
  const end = Math.min(backing, clusterSize, file.size);
  const area = Buffer.alloc(Math.max(0, end - start));
  await readPadded(file, area, start);
  const extensions: HeaderExtension[] = [];
  for (let at = 0; at + 8 <= area.length;) {
    const type = area.readUInt32BE(at);
    const length = area.readUInt32BE(at + 4);
    if (type === EXTENSION.end) break;
    const wrong = { severity: 'error', refusal: 'qcow2-invalid', offset: start + at + 4 } as const;
    if (length > area.length - at - 8) {
      return {
        extensions,
        problem: {
          ...wrong,
          rule: 'qcow2-extension-length',
          refusedBy: CONSUMERS,
          message: `the header extension ${extensionName(type)} goes beyond its area`,
          expected: `at most ${area.length - at - 8} bytes`,
          found: `${length}`,
        },
      };
    }
    if (extensions.length === MAX_EXTENSIONS) {
      return {
        extensions,
        problem: {
          ...wrong,
          rule: 'qcow2-extension-count',
          refusedBy: [],
          message: 'too many header extensions',
          expected: `at most ${MAX_EXTENSIONS}`,
        },
      };
    }
    extensions.push({ type, offset: start + at + 8, data: area.subarray(at + 8, at + 8 + length) });
    at += 8 + roundUp(length, 8);
  }
  return { extensions };
}
