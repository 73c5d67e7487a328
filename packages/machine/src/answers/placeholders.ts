import { didYouMean } from '@polyvisor/core';
import { type Values, valueOf } from './values.js';

/** A piece of a text: what it becomes, or what is wrong with it. */
export interface Placeholder {
  /** Of its first character. */
  readonly start: number;
  /** Behind its last character. */
  readonly end: number;
  readonly result: { readonly value: string } | { readonly problem: string; readonly hint: string };
}

/** Longest name, and longest stretch in which the end of a placeholder is looked for, in characters. */
const LONGEST = 256;

const NAME = /^[A-Za-z_][\w.-]*$/;

const WRITE_VALUE = 'write `<%= name %>` for a value, and `<%%` for a literal `<%`; no code is run';

/** All `<% … %>` of a text, in order. */
export function* angledPlaceholders(text: string, values: Values): Generator<Placeholder> {
  for (let start = text.indexOf('<%'); start >= 0;) {
    const found = angledAt(text, start, values);
    yield found;
    start = text.indexOf('<%', found.end);
  }
}

function angledAt(text: string, start: number, values: Values): Placeholder {
  const sign = text[start + 2];
  if (sign === '%') return { start, end: start + 3, result: { value: '<%' } };
  const close = text.slice(start, start + LONGEST).indexOf('%>');
  if (close < 0) return { start, end: start + 2, result: { problem: '`<%` without its `%>`', hint: WRITE_VALUE } };
  const end = start + close + 2;
  if (sign !== '=') {
    const problem = `\`${shown(text.slice(start, end))}\` is code, which is never run`;
    return { start, end, result: { problem, hint: WRITE_VALUE } };
  }
  const name = text.slice(start + 3, end - 2).trim();
  return { start, end, result: resolve(name, values) };
}

/** What a name becomes; also says why it cannot. */
export function resolve(name: string, values: Values): Placeholder['result'] {
  const value = valueOf(values, name);
  if (value !== undefined) return { value };
  if (!NAME.test(name)) return { problem: `\`${shown(name)}\` is no name of a value`, hint: WRITE_VALUE };
  return {
    problem: `there is no value "${name}"${didYouMean(name, Object.keys(values))}`,
    hint: `declare it among the file's variables, or take one of: ${Object.keys(values).sort().join(', ')}`,
  };
}

/** One short line for messages. */
export function shown(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= 60 ? line : `${line.slice(0, 57)}…`;
}
