import { parseByteSize } from '@polyvisor/core';
import { InvalidArgumentError } from '@commander-js/extra-typings';
import { parseDuration } from './duration.js';

/** Parsers for commander, which says which option it was. */

export function duration(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === undefined || milliseconds <= 0) throw new InvalidArgumentError('Write seconds, or 90s, 3m, 1h.');
  return milliseconds;
}

export function byteSize(text: string): number {
  const bytes = parseByteSize(text);
  if (bytes === undefined || bytes <= 0) throw new InvalidArgumentError('Write bytes, or a number with k, M, G or T.');
  return bytes;
}

export function count(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('Write a whole number from 1.');
  return Number(text);
}

export function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** A size, or with a `+` how much longer something gets. */
export interface SizeChange {
  readonly relative: boolean;
  readonly bytes: number;
}

export function sizeChange(text: string): SizeChange {
  return { relative: text.startsWith('+'), bytes: byteSize(text.replace(/^\+/, '')) };
}
