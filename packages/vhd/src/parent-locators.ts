import type { ImageFile } from '@polyvisor/core';
import { HEADER, LOCATOR, PLATFORM } from './layout.js';
import { readAt } from './read-at.js';

export interface ParentLocator {
  /** As `PLATFORM` names it. */
  readonly code: number;
  /** As stored; see `locatorSpace`. */
  readonly space: number;
  /** Of the text, in bytes. */
  readonly length: number;
  readonly reserved: number;
  /** Of the text in the file, in bytes. */
  readonly offset: bigint;
}

/** No path is longer on any system; what says to be is not read. In bytes. */
const MAX_TEXT = 64 * 1024;

/** Longest name that is passed on, in characters: enough to recognise a file by. */
const MAX_NAME = 1024;

/** The eight entries, used or not. */
export function parentLocators(header: Buffer): ParentLocator[] {
  return Array.from({ length: LOCATOR.count }, (_, index) => {
    const at = HEADER.locators + index * LOCATOR.size;
    return {
      code: header.readUInt32BE(at + LOCATOR.code),
      space: header.readUInt32BE(at + LOCATOR.space),
      length: header.readUInt32BE(at + LOCATOR.length),
      reserved: header.readUInt32BE(at + LOCATOR.reserved),
      offset: header.readBigUInt64BE(at + LOCATOR.offset),
    };
  });
}

/**
 * Bytes set aside for a locator's text. Microsoft and VirtualBox store bytes where the specification has sectors, so that
 * blktap takes what is smaller than a sector for sectors; other numbers mean nothing, and 0 is returned.
 */
export function locatorSpace({ space }: ParentLocator): number {
  if (space < 512) return space * 512;
  return space % 512 === 0 ? space : 0;
}

/** `W2ru`, `MacX`, …; the number of an unknown one. */
export function locatorName(code: number): string {
  const name = Object.entries(PLATFORM).find(([, value]) => value === code)?.[0];
  return name?.replace('OfVirtualBox', '') ?? `0x${code.toString(16)}`;
}

/** The text of a locator; undefined when it has none, or none that fits the file. */
export async function readLocator(file: ImageFile, locator: ParentLocator): Promise<string | undefined> {
  const { code, length, offset } = locator;
  if (code === PLATFORM.none || length === 0 || length > MAX_TEXT) return undefined;
  if (offset + BigInt(length) > BigInt(file.size)) return undefined;
  const bytes = await readAt(file, Number(offset), length);
  const text = decodeLocator(code, bytes);
  return text === undefined ? undefined : shown(text);
}

function decodeLocator(code: number, bytes: Buffer): string | undefined {
  switch (code) {
    case PLATFORM.W2ru:
    case PLATFORM.W2ku:
      return bytes.toString('utf16le');
    case PLATFORM.MacX:
    case PLATFORM.MacXOfVirtualBox:
      return pathOf(bytes.toString('utf8'));
    case PLATFORM.Wi2r:
    case PLATFORM.Wi2k:
      return bytes.toString('latin1');
    default:
      return undefined;
  }
}

/** The path of a `file://` URL. The text stays as it is where it is none, or not well encoded. */
function pathOf(url: string): string {
  const path = url.replace(/^file:\/\/(localhost(?=\/))?/i, '');
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** The name of the parent in the header itself: UTF-16, big-endian. */
export function parentName(header: Buffer): string {
  const name = Buffer.from(header.subarray(HEADER.parentName, HEADER.parentName + HEADER.parentNameSize)).swap16();
  return shown(name.toString('utf16le'));
}

/** Text of a file as it may be shown: up to the first NUL, bounded, and without what could drive a terminal. */
function shown(text: string): string {
  return text.replace(/\0.*$/s, '').slice(0, MAX_NAME).replaceAll(/\p{C}/gu, '?');
}

/** Names in the order in which they help: where the child looks first, each once. */
export async function parentNames(file: ImageFile, header: Buffer): Promise<string[]> {
  const { W2ru, MacX, MacXOfVirtualBox, Wi2r, W2ku, Wi2k } = PLATFORM;
  const preferred: readonly number[] = [W2ru, MacX, MacXOfVirtualBox, Wi2r, W2ku, Wi2k];
  const locators = parentLocators(header);
  const names: string[] = [];
  for (const code of preferred) {
    for (const locator of locators.filter((candidate) => candidate.code === code)) {
      const name = await readLocator(file, locator);
      if (name) names.push(name);
    }
  }
  const own = parentName(header);
  if (own) names.push(own);
  return [...new Set(names)];
}
