import type { ImageFile } from '@polyvisor/core';
import { HEADER, PLATFORM } from '../layout.js';
import { locatorSpace, type ParentLocator } from '../parent-locators.js';
import { readAt } from '../read-at.js';

// What blktap makes of the names of a parent. It is stricter than the reader of this package, which only has to show them.

/** Longest text that is looked at, in bytes. */
const MAX_TEXT = 64 * 1024;

/** The kinds of locators that the specification, and so blktap, knows. */
export function isPlatformCode(code: number): boolean {
  const { none, Wi2r, Wi2k, W2ru, W2ku, Mac, MacX } = PLATFORM;
  return [none, Wi2r, Wi2k, W2ru, W2ku, Mac, MacX].some((known) => known === code);
}

/** Kinds whose text blktap reads: at least one of them must lead to the parent. */
export function isFollowed(code: number): boolean {
  return code === PLATFORM.MacX || code === PLATFORM.W2ru || code === PLATFORM.W2ku;
}

/** The parent's name in the header, as a path of Unix; undefined when blktap cannot decode it. */
export function blktapParentName(header: Buffer): string | undefined {
  const bytes = Buffer.from(header.subarray(HEADER.parentName, HEADER.parentName + HEADER.parentNameSize)).swap16();
  return windowsPath(bytes.toString('utf16le'));
}

/** The last part of a locator's path; undefined when blktap cannot read or decode it. */
export async function blktapBaseName(file: ImageFile, locator: ParentLocator): Promise<string | undefined> {
  const { code, length, offset } = locator;
  const space = locatorSpace(locator);
  if (space === 0 || length > space || length > MAX_TEXT || offset % 512n !== 0n) return undefined;
  if (offset + BigInt(space) > BigInt(file.size)) return undefined;
  const bytes = await readAt(file, Number(offset), length);
  const path =
    code === PLATFORM.MacX ? fileUrl(bytes) : length % 2 === 0 ? windowsPath(bytes.toString('utf16le')) : undefined;
  return path === undefined ? undefined : baseName(path);
}

function fileUrl(bytes: Buffer): string | undefined {
  const text = bytes.toString('latin1');
  return isAscii(text) && text.startsWith('file://') ? upToNul(text).slice('file://'.length) : undefined;
}

/** Only ASCII is understood. Slashes of either kind count, and a drive C is dropped. */
function windowsPath(text: string): string | undefined {
  return isAscii(text) ? upToNul(text).replaceAll('\\', '/').replace(/^c:/i, '') : undefined;
}

function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text);
}

function upToNul(text: string): string {
  return text.replace(/\0.*$/s, '');
}

/** As `basename` of POSIX. */
function baseName(path: string): string {
  if (path === '') return '.';
  const trimmed = path.replace(/\/+$/, '');
  return trimmed === '' ? '/' : trimmed.slice(trimmed.lastIndexOf('/') + 1);
}
