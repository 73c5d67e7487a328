import { DefinitionError } from '@polyvisor/core';

/** A format and its options as somebody wrote them; the converter checks. */
export interface FormatArgument {
  readonly format: string;
  readonly options: Readonly<Record<string, unknown>>;
}

type Scalar = string | number | boolean;

const FORMAT = /^[a-z][a-z0-9-]*$/;
const KEY = /^[A-Za-z][\w.-]*$/;

/**
 * argument = format { "," format } | format ":" option { "," option }
 * option = key "=" value; value = characters, where `\` takes the next one as it is and quotes ("…", '…') take all between.
 *
 * Values are typed: `true`, `false` and numbers in their shortest form, everything else is text; what is quoted or
 * escaped is always text. A key given several times makes a list.
 */
export function parseFormatArgument(text: string): readonly FormatArgument[] {
  const colon = text.indexOf(':');
  if (colon < 0) return text.split(',').map((name) => ({ format: checkFormat(name.trim(), text), options: {} }));
  const format = checkFormat(text.slice(0, colon), text);
  return [{ format, options: parseOptionList(text.slice(colon + 1), text) }];
}

/** `key=value,key=value`, as after the colon of a format, and as of a provisioner's options. */
export function parseOptionList(list: string, whole = list): Readonly<Record<string, unknown>> {
  const options = new Map<string, Scalar | Scalar[]>();
  for (const { text, plain, equals } of split(list, whole)) {
    if (equals < 0) {
      throw mistake(
        whole,
        `"${text}" has no value`,
        `write ${text === '' ? 'option' : text}=true or another value; a second format with options wants a --to of its own`,
      );
    }
    const key = text.slice(0, equals);
    if (!KEY.test(key)) throw mistake(whole, `"${key}" is no name of an option`, 'write option=value');
    const value = text.slice(equals + 1);
    const typed = plain ? typeOf(value) : value;
    const before = options.get(key);
    options.set(key, before === undefined ? typed : [...(Array.isArray(before) ? before : [before]), typed]);
  }
  return Object.fromEntries(options);
}

interface Piece {
  /** Without quotes and escapes. */
  readonly text: string;
  /** Whether it was written without any. */
  readonly plain: boolean;
  /** Position of the first plain `=`, or -1. */
  readonly equals: number;
}

/** Cuts at commas that are neither quoted nor escaped. */
function split(list: string, whole: string): Piece[] {
  const pieces: Piece[] = [];
  let text = '';
  let equals = -1;
  let quote = '';
  let quoted = false;
  const end = () => {
    pieces.push({ text, plain: !quoted, equals });
    text = '';
    equals = -1;
    quoted = false;
  };
  for (let at = 0; at < list.length; at++) {
    const character = list[at] ?? '';
    if (quote !== '') {
      if (character === quote) quote = '';
      else if (character === '\\' && quote === '"' && at + 1 < list.length) text += list[++at] ?? '';
      else text += character;
    } else if (character === '\\') {
      if (at + 1 >= list.length) throw mistake(whole, 'a \\ at the end escapes nothing', 'write \\\\ for one \\');
      quoted = true;
      text += list[++at] ?? '';
    } else if ((character === '"' || character === "'") && equals >= 0) {
      quoted = true;
      quote = character;
    } else if (character === ',') {
      end();
    } else {
      if (character === '=' && equals < 0) equals = text.length;
      text += character;
    }
  }
  if (quote !== '') throw mistake(whole, `the quote ${quote} is never closed`, 'close it, or escape it with \\');
  end();
  return pieces;
}

function typeOf(value: string): Scalar {
  if (value === 'true') return true;
  if (value === 'false') return false;
  // Only what a number says in full: 0.10 is a version, 007 a name, and both would lose something.
  if (/^-?\d+(\.\d+)?$/.test(value) && String(Number(value)) === value) return Number(value);
  return value;
}

function checkFormat(name: string, whole: string): string {
  if (FORMAT.test(name)) return name;
  throw mistake(
    whole,
    `"${name}" is no name of a format`,
    'write format, format,format or format:option=value,option=value; give --to again for each format with options',
  );
}

function mistake(whole: string, reason: string, hint: string): DefinitionError {
  return new DefinitionError('format-argument-invalid', `cannot understand "${whole}": ${reason}`, { hint });
}
