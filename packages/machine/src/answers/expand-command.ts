import { didYouMean } from '@polyvisor/core';
import { fill } from './expand-values.js';
import { angledPlaceholders, type Placeholder, resolve, shown } from './placeholders.js';
import { type TextPlace, type Values, valueOf } from './values.js';

/** veewee's and Packer's names for our values. */
const VEEWEE: Values = { IP: 'answers-host', PORT: 'answers-port', NAME: 'name' };
const PACKER: Values = { HTTPIP: 'answers-host', HTTPPort: 'answers-port', Name: 'name', SSHPublicKey: 'ssh-key' };

const PORTS = new Set(['PORT', 'HTTPPort']);

// Packer's templates are Go's: dots before names, optional white space, `-` that trims, pipes into functions.
const MARKS = /%(IP|PORT|NAME)%|\{\{(-?[^{}]{0,200})\}\}/g;
const FIELD = /^-?\s*\.(\w+)\s*(?:\|\s*(\w+)\s*)?-?$/;

/**
 * Puts values into a boot command or a kernel argument, as `expandValues` does, and those of veewee (`%IP%`, `%PORT%`,
 * `%NAME%`) and Packer (`{{ .HTTPIP }}`, `{{ .HTTPPort }}`, `{{ .Name }}`, `{{ .SSHPublicKey }}`) under their names there. A
 * port of theirs before a `/` takes the answer server's path with it, without which their addresses would lead nowhere.
 * `escape` is applied to every value that goes in, for texts in which some characters mean something.
 */
export function expandCommand(
  text: string,
  values: Values,
  where: TextPlace,
  escape: (value: string) => string = (value) => value,
): string {
  const all = [...angledPlaceholders(text, values), ...borrowedPlaceholders(text, values)];
  all.sort((left, right) => left.start - right.start);
  // What lies inside another placeholder is a part of it.
  let end = 0;
  const outer = all.filter((each) => {
    if (each.start < end) return false;
    end = each.end;
    return true;
  });
  return fill(
    text,
    outer.map((each) => escaped(each, text, escape)),
    where,
  );
}

function escaped(found: Placeholder, text: string, escape: (value: string) => string): Placeholder {
  const literal = text.startsWith('<%%', found.start);
  if (literal || !('value' in found.result)) return found;
  return { ...found, result: { value: escape(found.result.value) } };
}

function* borrowedPlaceholders(text: string, values: Values): Generator<Placeholder> {
  for (const match of text.matchAll(MARKS)) {
    const start = match.index;
    const end = start + match[0].length;
    const path = text[end] === '/' ? answersPath(values) : '';
    const [, veewee, packer] = match;
    const result =
      veewee === undefined ? packerResult(packer ?? '', values, path) : namedResult(veewee, VEEWEE, values, path);
    yield { start, end, result };
  }
}

function packerResult(inside: string, values: Values, path: string): Placeholder['result'] {
  const [, name, pipe] = FIELD.exec(inside) ?? [];
  const hint = `known are ${Object.keys(PACKER)
    .map((each) => `{{ .${each} }}`)
    .join(', ')}; write <%= name %> for other values`;
  if (name === undefined)
    return { problem: `\`{{${shown(inside)}}}\` is a template of Packer's that is not understood`, hint };
  if (valueOf(PACKER, name) === undefined)
    return { problem: `\`{{ .${name} }}\` is not known${didYouMean(name, Object.keys(PACKER))}`, hint };
  const result = namedResult(name, PACKER, values, path);
  if (pipe === undefined || !('value' in result)) return result;
  if (pipe !== 'urlquery') return { problem: `the function "${pipe}" is not known; only urlquery is`, hint };
  return { value: queryEscape(result.value) };
}

function namedResult(name: string, names: Values, values: Values, path: string): Placeholder['result'] {
  const result = resolve(valueOf(names, name) ?? name, values);
  return 'value' in result && PORTS.has(name) ? { value: result.value + path } : result;
}

/** Path of the answers' base address, without the slash at its end; empty when nothing is served. */
function answersPath(values: Values): string {
  const base = valueOf(values, 'answers');
  return base !== undefined && URL.canParse(base) ? new URL(base).pathname.replace(/\/$/, '') : '';
}

/** As Go's `urlquery`: all but letters, digits and `-_.~` is escaped, and a space becomes `+`. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}
