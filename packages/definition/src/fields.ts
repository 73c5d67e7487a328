import { parseByteSize } from '@polyvisor/core';
import { z } from 'zod';

const MEBIBYTE = 2 ** 20;

/** Text in which numbers and booleans are welcome too; the reader hands them over as they are written. */
export function looseText(): z.ZodType<string, string | number | boolean> {
  return z.union([z.string(), z.number(), z.boolean()]).transform(String);
}

/** Text of one shape. The message says what is allowed, since a pattern tells most people nothing. */
export function textLike(pattern: RegExp, allowed: string): z.ZodType<string, string> {
  return z.string().regex(pattern, { error: (issue) => `${show(issue.input)} is not ${allowed}` });
}

/** A whole number, also as the text that a variable gives. */
export function wholeNumber(minimum: number, maximum: number): z.ZodType<number, number | string> {
  return z.union([z.number(), z.string()]).transform((value, context) => {
    const number = typeof value === 'string' && !/^\d{1,15}$/.test(value) ? Number.NaN : Number(value);
    if (Number.isInteger(number) && number >= minimum && number <= maximum) return number;
    context.addIssue({ code: 'custom', message: `${show(value)} is not a whole number from ${minimum} to ${maximum}` });
    return z.NEVER;
  });
}

/** Yes or no, also as the text that a variable gives. */
export function flag(): z.ZodType<boolean, boolean | 'true' | 'false'> {
  return z.union([z.boolean(), z.enum(['true', 'false'])]).transform((value) => value === true || value === 'true');
}

/** A size in bytes that is a whole number of MiB, as the sizes of disks, partitions and memory are. */
export function mebibytes(minimum: number, maximum: number): z.ZodType<number, string | number> {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const bytes = parseByteSize(value);
    const complaint =
      bytes === undefined
        ? `not a size: ${show(value)}; write a number with M, G or T, such as 4G`
        : bytes % MEBIBYTE !== 0
          ? `${show(value)} is not a whole number of MiB; sizes are written with M, G or T, such as 4G`
          : bytes < minimum || bytes > maximum
            ? `${show(value)} is not between ${showSize(minimum)} and ${showSize(maximum)}`
            : undefined;
    if (bytes !== undefined && complaint === undefined) return bytes;
    context.addIssue({ code: 'custom', message: complaint ?? '' });
    return z.NEVER;
  });
}

const MILLISECONDS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const DAY = 86_400_000;

/** A duration, in milliseconds, from text such as `90s`, `10m`, `1h30m` or `50ms`. */
export function duration(): z.ZodType<number, string> {
  return z.string().transform((value, context) => {
    const parts = /^(?:\d{1,6}(?:ms|s|m|h))+$/.test(value) ? [...value.matchAll(/(\d+)(ms|s|m|h)/g)] : [];
    const total = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (MILLISECONDS[unit ?? ''] ?? 0), 0);
    if (total > 0 && total <= DAY) return total;
    const problem = total > DAY ? 'is longer than a day' : 'is not a duration; write such as 90s, 10m or 1h';
    context.addIssue({ code: 'custom', message: `${show(value)} ${problem}` });
    return z.NEVER;
  });
}

/** Permission bits in octal: `644`, `0644` and `0o644` mean the same, in quotes or not. */
export function permissionBits(): z.ZodType<number, string | number> {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const digits = /^(?:0o|0)?([0-7]{3,4})$/.exec(String(value))?.[1];
    if (digits !== undefined) return Number.parseInt(digits, 8);
    context.addIssue({
      code: 'custom',
      message: `${show(value)} is not a file mode; write three or four octal digits, such as 0644`,
    });
    return z.NEVER;
  });
}

/** A value for use in a message: short, on one line. */
export function show(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

export function showSize(bytes: number): string {
  const power = [4, 3, 2].find((exponent) => bytes >= 2 ** (exponent * 10)) ?? 2;
  return `${Number((bytes / 2 ** (power * 10)).toFixed(1))} ${['MiB', 'GiB', 'TiB'][power - 2] ?? 'MiB'}`;
}
