import { DefinitionError, didYouMean, type Issue } from '@polyvisor/core';
import type { Key } from '../key.js';
import { charactersOf, LAYOUT_NAMES, type LayoutName } from './characters.js';
import { append, type OutlineStep, type Step } from './step.js';
import { type Token, tokenAt } from './token.js';

/** How keystrokes are read, and where they are from. */
export interface KeystrokeOptions {
  /** Id of the keyboard layout of the guest, one of `LAYOUT_NAMES`. */
  readonly layout: string;
  /** Waited after each element, in milliseconds; absent: nothing. */
  readonly pause?: number | undefined;
  /** File that the keystrokes are in, for messages; absent: they are from the command line. */
  readonly file?: string | undefined;
  /** Says where a problem is, for whoever knows the file's lines. Elements and characters count from 1. */
  readonly issueAt?: ((element: number, character: number, message: string, hint?: string) => Issue) | undefined;
}

/** Most characters in all elements together: nobody waits for more to be typed, and a memory has an end. */
const MOST_CHARACTERS = 65_536;

/** After so many problems the rest is not read: suggestions for each take their time, and nobody reads more. */
const MOST_PROBLEMS = 100;

/** What keystrokes ask for, their values filled in. Rejects all that cannot be understood or typed, at once. */
export function parseKeystrokes(texts: readonly string[], options: KeystrokeOptions): readonly Step[] {
  return read(texts, options, false) as readonly Step[];
}

/** The same for keystrokes whose values are known during a build only: what they will be is left open. */
export function outlineKeystrokes(texts: readonly string[], options: KeystrokeOptions): readonly OutlineStep[] {
  return read(texts, options, true);
}

function read(texts: readonly string[], options: KeystrokeOptions, valuesOpen: boolean): readonly OutlineStep[] {
  const layout = layoutNamed(options.layout);
  if (texts.reduce((sum, text) => sum + text.length, 0) > MOST_CHARACTERS)
    throw new DefinitionError(
      'keystrokes-invalid',
      `keystrokes may have ${MOST_CHARACTERS} characters, these have more`,
    );
  const steps: OutlineStep[] = [];
  const issues: Issue[] = [];
  const told = new Set<string>();
  let problems = 0;
  for (const [element, text] of texts.map((one) => one.normalize('NFC')).entries()) {
    let afterLess = false;
    for (let at = 0; at < text.length && problems < MOST_PROBLEMS;) {
      const token = tokenAt(text, at, afterLess);
      const written = text.slice(at, at + token.length);
      const step = stepOf(token, written, layout, valuesOpen);
      if ('message' in step) {
        problems += 1;
        if (!told.has(step.message)) issues.push(issueAt(options, element + 1, at + 1, step.message, step.hint));
        told.add(step.message);
      } else {
        append(steps, step);
      }
      afterLess = written === '<';
      at += token.length;
    }
    if (options.pause) append(steps, { kind: 'wait', milliseconds: options.pause });
  }
  if (issues.length === 0) return steps;
  const message = issues.length === 1 ? 'a keystroke cannot be typed' : `${issues.length} keystrokes cannot be typed`;
  throw new DefinitionError('keystrokes-invalid', message, { issues, hint: 'docs/keystrokes.md has the notation' });
}

interface Problem {
  readonly message: string;
  readonly hint?: string;
}

function stepOf(token: Token, written: string, layout: LayoutName, valuesOpen: boolean): OutlineStep | Problem {
  switch (token.kind) {
    case 'problem':
      return token;
    case 'wait':
      return token.step;
    case 'key':
      return { kind: 'keys', keys: [token.key], written };
    case 'character':
      return typed(token.character, token.action, written, layout);
    case 'value':
      if (valuesOpen) return { kind: 'value', written };
      // Other notations of values are what they look like once there is nothing more to fill in.
      if (written.startsWith('<%')) return { message: `nothing was filled in for ${written}` };
      return textOf(written, layout);
  }
}

function textOf(written: string, layout: LayoutName): OutlineStep | Problem {
  const keys: Key[] = [];
  for (const character of written) {
    const step = typed(character, 'type', character, layout);
    if ('message' in step) return step;
    if (step.kind === 'keys') keys.push(...step.keys);
  }
  return { kind: 'keys', keys, written };
}

function typed(character: string, action: Key['action'], written: string, layout: LayoutName): OutlineStep | Problem {
  const keys = charactersOf(layout).get(character);
  if (keys === undefined) return untypable(character, layout);
  if (action === 'type') return { kind: 'keys', keys, written };
  const [only, second] = keys;
  if (only === undefined || second !== undefined)
    return { message: `${written}: the layout ${layout} types this character with two keys, which cannot be held` };
  // What is held around a key goes down before it and up behind it.
  const around = (only.with ?? []).map((name): Key => ({ name, action }));
  const key: Key = { name: only.name, action };
  return { kind: 'keys', keys: action === 'down' ? [...around, key] : [key, ...around.reverse()], written };
}

function untypable(character: string, layout: LayoutName): Problem {
  if (character === '\n' || character === '\r')
    return { message: 'a line break is no key', hint: 'write <enter>, or join the lines' };
  if (character === '\t') return { message: 'a tabulator is written <tab>' };
  const code = character.codePointAt(0) ?? 0;
  const shown = /[\p{C}\p{Z}]/u.test(character)
    ? `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
    : `"${character}"`;
  const others = LAYOUT_NAMES.filter((name) => charactersOf(name).has(character));
  return {
    message: `the layout ${layout} has no key for ${shown}`,
    ...(others.length === 0 ? {} : { hint: `these have: ${others.join(', ')}; the guest must use the same one` }),
  };
}

function layoutNamed(name: string): LayoutName {
  const found = LAYOUT_NAMES.find((one) => one === name);
  if (found !== undefined) return found;
  throw new DefinitionError(
    'layout-unknown',
    `no keyboard layout is called ${name.slice(0, 40)}${didYouMean(name, LAYOUT_NAMES)}`,
    { hint: `known: ${LAYOUT_NAMES.join(', ')}` },
  );
}

function issueAt(options: KeystrokeOptions, element: number, character: number, message: string, hint?: string): Issue {
  if (options.issueAt !== undefined) return options.issueAt(element, character, message, hint);
  const rest = hint === undefined ? {} : { hint };
  if (options.file === undefined) return { file: 'keystrokes', line: element, column: character, message, ...rest };
  return { file: options.file, message: `keystrokes ${element}, character ${character}: ${message}`, ...rest };
}
