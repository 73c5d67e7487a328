import type { Issue } from '@polyvisor/core';
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  parseDocument,
  Parser,
} from 'yaml';

/** Keys and list positions from the top of a document to a value in it. */
export type DocumentPath = readonly (string | number)[];

/** A definition is written by hand; the largest we met has 20 KiB. Bounds what a hostile file can make the parser do. */
export const MAX_DOCUMENT_BYTES = 256 * 1024;
/** Values after aliases are followed, so that a few aliases of aliases cannot fill the memory. */
const MAX_VALUES = 20_000;
const MAX_DEPTH = 32;

/** Turns the text of a scalar into its value; `plain` when it was written without quotes. */
export type ReadText = (text: string, path: DocumentPath, plain: boolean) => unknown;

/** A YAML file that remembers where in it everything was. */
export interface SourceDocument {
  /** For messages. */
  readonly file: string;
  /** What the parser itself had to say, in the order of the file. */
  readonly issues: readonly Issue[];
  /** Line of the first error that leaves the rest of the file without a sure meaning; undefined when there is none. */
  readonly brokenFrom: number | undefined;
  /** Plain data, with problems appended to `issues`. May be called again with another `text`. */
  read(issues: Issue[], text?: ReadText): unknown;
  /** An issue at the value (or at the key) of a path; at the nearest thing around it when there is nothing there. */
  issueAt(path: DocumentPath, message: string, part?: 'key' | 'value'): Issue;
}

interface Place {
  readonly key: number;
  readonly value: number;
}

/**
 * Parses YAML 1.2 (core schema) without tags, merge keys or several documents. Never throws: all problems are issues.
 * `textAt` says at which paths a number or a boolean is to be taken as it is written, so that `version: 1.10` stays "1.10".
 */
export function parseSource(
  file: string,
  text: string,
  textAt: (path: DocumentPath) => boolean = () => false,
): SourceDocument {
  const lines = new LineCounter();
  const places = new Map<string, Place>();
  let brokenFrom: number | undefined;
  const parsed: Issue[] = [];
  const at = (offset: number, message: string): Issue => {
    const { line, col } = lines.linePos(offset);
    // Nothing is parsed of a file that is refused before; the counter knows no line then.
    return { file, line: Math.max(1, line), column: Math.max(1, col), message };
  };

  let document: Document | undefined;
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.exec(text);
  if (Buffer.byteLength(text) > MAX_DOCUMENT_BYTES) {
    parsed.push(at(0, `the file has ${Buffer.byteLength(text)} bytes; at most ${MAX_DOCUMENT_BYTES} are read`));
  } else if (control !== null) {
    const before = text.slice(0, control.index).split('\n');
    const code = control[0].charCodeAt(0).toString(16).padStart(2, '0');
    const column = (before.at(-1) ?? '').length + 1;
    parsed.push({
      file,
      line: before.length,
      column,
      message: `control character 0x${code}; a definition is plain text`,
    });
  } else if (nestsTooDeeply(text)) {
    parsed.push(at(0, `nested more than ${MAX_DEPTH} levels deep`));
  } else {
    // Our own check of unique keys is linear and names both places; the parser's compares every key with every other.
    document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      uniqueKeys: false,
      prettyErrors: false,
      lineCounter: lines,
    });
  }
  for (const problem of [...(document?.errors ?? []), ...(document?.warnings ?? [])].slice(0, 20)) {
    const issue = at(problem.pos[0], tidy(problem.message));
    parsed.push(withQuotingHint(issue, text));
    if (problem.name === 'YAMLParseError')
      brokenFrom = Math.min(brokenFrom ?? Number.POSITIVE_INFINITY, issue.line ?? 1);
  }
  if (document === undefined) brokenFrom = 1;

  const read = (issues: Issue[], readText: ReadText = (value) => value): unknown => {
    if (document?.contents == null) return undefined;
    const anchors = new Map<string, Node>();
    let budget = MAX_VALUES;

    const visit = (node: unknown, path: DocumentPath, inAlias: boolean): unknown => {
      budget -= 1;
      const offset = (node as Node | null)?.range?.[0] ?? 0;
      if (budget === 0) issues.push(at(offset, `more than ${MAX_VALUES} values, counting those that aliases repeat`));
      if (budget <= 0) return undefined;
      if (path.length > MAX_DEPTH) {
        issues.push(at(offset, `nested more than ${MAX_DEPTH} levels deep`));
        return undefined;
      }
      if (isAlias(node)) {
        const target = anchors.get(node.source);
        if (target === undefined) issues.push(at(offset, `alias *${node.source} names no anchor before it`));
        return target === undefined ? undefined : visit(target, path, true);
      }
      if (!inAlias && (isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined) {
        anchors.set(node.anchor, node);
      }
      if (isMap(node)) {
        const result: Record<string, unknown> = {};
        const seen = new Map<string, number>();
        for (const pair of node.items) {
          const keyOffset = (pair.key as Node | null)?.range?.[0] ?? offset;
          const key = isScalar(pair.key)
            ? typeof pair.key.value === 'string'
              ? pair.key.value
              : pair.key.source
            : undefined;
          if (key === undefined || key === '' || key === '__proto__') {
            issues.push(at(keyOffset, key === '__proto__' ? 'unknown key "__proto__"' : 'a key must be a word'));
            continue;
          }
          const first = seen.get(key);
          if (first !== undefined) {
            issues.push(
              at(keyOffset, `key "${shorten(key)}" is given twice; the first is in line ${lines.linePos(first).line}`),
            );
            continue;
          }
          seen.set(key, keyOffset);
          const inner = [...path, key];
          places.set(JSON.stringify(inner), {
            key: keyOffset,
            value: (pair.value as Node | null)?.range?.[0] ?? keyOffset,
          });
          result[key] = visit(pair.value, inner, inAlias);
        }
        return result;
      }
      if (isSeq(node)) {
        return node.items.map((item, index) => {
          const inner = [...path, index];
          const start = (item as Node | null)?.range?.[0] ?? offset;
          places.set(JSON.stringify(inner), { key: start, value: start });
          return visit(item, inner, inAlias);
        });
      }
      if (!isScalar(node)) return undefined;
      if (typeof node.value === 'string') {
        if (node.value.includes('\0')) {
          issues.push(at(offset, 'text with a NUL character'));
          return undefined;
        }
        return readText(node.value, path, node.type === 'PLAIN');
      }
      return node.value !== null && node.source !== undefined && textAt(path) ? node.source : node.value;
    };

    places.set('[]', { key: document.contents.range?.[0] ?? 0, value: document.contents.range?.[0] ?? 0 });
    return visit(document.contents, [], false);
  };

  return {
    file,
    issues: parsed,
    brokenFrom,
    read,
    issueAt: (path, message, part = 'value') => {
      const own = places.get(JSON.stringify(path));
      if (own !== undefined) return at(own[part], message);
      for (let length = path.length - 1; length >= 0; length--) {
        const around = places.get(JSON.stringify(path.slice(0, length)));
        if (around !== undefined) return at(around.key, message);
      }
      return { file, line: 1, column: 1, message };
    },
  };
}

/**
 * The parser takes time that grows with the square of the depth, and in the end its stack; so the depth is found first, from its
 * own tokens, which are cheap. A level takes up to three places on the tokens' stack.
 */
function nestsTooDeeply(text: string): boolean {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    // The tokens themselves are not wanted; running the generator keeps the stack.
    for (const _token of parser.next(lexeme)) continue;
    if (parser.stack.length > MAX_DEPTH * 3) return true;
  }
  return false;
}

/** Where something is, for people: `users[0].ssh-keys`. */
export function showPath(path: DocumentPath): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${part}`))
    .join('');
}

/** Text from a file, short enough and without line breaks, for use in a message. */
export function shorten(text: string, length = 60): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

function tidy(message: string): string {
  if (message.startsWith('Unresolved tag')) return `${message.replace('Unresolved tag', 'tags are not allowed')}`;
  return `not YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}

/** `{` opens a mapping inside of `[…]`, which people meet first with `[${name}]`. */
function withQuotingHint(issue: Issue, text: string): Issue {
  const line = text.split('\n', issue.line ?? 1)[(issue.line ?? 1) - 1] ?? '';
  const start = line.indexOf('${');
  const inside = start !== -1 && /[[{,]/.test(line.slice(0, start));
  return inside ? { ...issue, hint: 'inside [ ] and { } put quotes around text with ${…}' } : issue;
}
