import type { ParentImage, ParentReference } from './converter.js';
import type { DiskSource, ImageFile } from './disk.js';
import { FormatError } from './errors.js';

/** The refusal to read an image without its parent: names what the file names, and never looks for it. */
export function parentMissing(file: ImageFile, { names }: ParentReference): FormatError {
  const named =
    names.length === 0
      ? 'which it does not name'
      : `which it calls ${names.map((name) => JSON.stringify(name)).join(' or ')}`;
  return new FormatError('parent-missing', `the rest of the disk is in a parent image, ${named}`, {
    file: file.path,
    hint: 'name the parent with --parent (nearest first for a chain); a name inside an image is never opened',
  });
}

/** Stands for the disk of an image whose parent was not given: it can be described, not read. */
export function unreadableDisk(size: number, reason: FormatError): DiskSource {
  return {
    size,
    // eslint-disable-next-line require-yield -- there is nothing to yield before the refusal
    async *extents() {
      await Promise.reject(reason);
    },
    read: () => Promise.reject(reason),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** Refuses a parent that is not the one which the child was made from. Formats without such a mark accept any. */
export function expectParent(file: ImageFile, reference: ParentReference, parent: ParentImage): void {
  if (reference.linkId === undefined || parent.linkId === reference.linkId) return;
  throw new FormatError('parent-mismatch', `${parent.path} is not the parent of this image`, {
    file: file.path,
    expected: reference.linkId,
    found: parent.linkId ?? 'an image without such an identity',
    hint: 'the parent was exchanged, or written to after the child was made; name the right file with --parent',
  });
}
