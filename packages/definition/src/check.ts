import { didYouMean, type Issue } from '@polyvisor/core';
import type { z } from 'zod';
import { type DocumentPath, shorten, showPath, type SourceDocument } from './document.js';
import { show } from './fields.js';

type ZodIssue = z.core.$ZodIssue;

/**
 * Checks one part of a document. Problems become issues; what can be understood in spite of them is still returned, so that
 * the checks which come later can find more. Undefined when nothing useful is left.
 */
export function checkPart<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  path: DocumentPath,
  source: SourceDocument,
  issues: Issue[],
): z.output<Schema> | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const flat = result.error.issues.flatMap((issue) => flatten(issue, value, []));
  for (const { issue, at } of flat) issues.push(...explain(issue, value, path, at, source, schema));
  // A slip in one key must not hide what is wrong beside it: without the bad keys the rest may well be right.
  const second = schema.safeParse(withoutBadKeys(value, flat));
  return second.success ? second.data : undefined;
}

interface Located {
  readonly issue: ZodIssue;
  /** From the value checked, not from the document's top. */
  readonly at: DocumentPath;
}

/** Of a union, the problems of the branch that was meant: the one whose outermost type fits the value. */
function flatten(issue: ZodIssue, value: unknown, around: DocumentPath): Located[] {
  const at = [...around, ...(issue.path as DocumentPath)];
  if (issue.code !== 'invalid_union') return [{ issue, at }];
  const meant = issue.errors.filter(
    (errors) => !errors.some((error) => error.path.length === 0 && isWrongType(error, lookUp(value, at))),
  );
  const branch = meant.length === 1 ? meant[0] : undefined;
  if (branch === undefined) return [{ issue, at }];
  return branch.flatMap((inner) => flatten(inner, value, at));
}

function isWrongType(issue: ZodIssue, value: unknown): boolean {
  if (issue.code === 'invalid_type') return true;
  // A choice of words that was given a list or a mapping.
  return issue.code === 'invalid_value' && typeof value !== 'string';
}

function explain(
  issue: ZodIssue,
  value: unknown,
  prefix: DocumentPath,
  at: DocumentPath,
  source: SourceDocument,
  schema: z.ZodType,
): Issue[] {
  const path = [...prefix, ...at];
  const found = lookUp(value, at);
  if (found === undefined && at.length > 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_union')) {
    const parent = path.slice(0, -1);
    const where = parent.length === 0 ? '' : ` in ${showPath(parent)}`;
    // Behind a syntax error everything seems to be missing.
    return source.brokenFrom === undefined
      ? [source.issueAt(parent, `missing key "${String(path.at(-1))}"${where}`, 'key')]
      : [];
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => {
        const where = path.length === 0 ? '' : ` in ${showPath(path)}`;
        const message = `unknown key "${shorten(key)}"${where}${didYouMean(key, knownKeys(schema, at))}`;
        return source.issueAt([...path, key], message, 'key');
      });
    case 'invalid_type':
      return [wrong(`expected ${typeName(issue.expected)}, found ${foundName(found, issue.expected === 'string')}`)];
    case 'invalid_value': {
      const words = issue.values.map(String);
      const guess = typeof found === 'string' ? didYouMean(found, words) : '';
      return [wrong(`${foundName(found)} is none of ${words.join(', ')}${guess}`)];
    }
    case 'invalid_union': {
      const types = issue.errors.flat().flatMap((error) => {
        if (error.path.length > 0) return [];
        if (error.code === 'invalid_type') return [typeName(error.expected)];
        return error.code === 'invalid_value' ? [`one of ${error.values.map(String).join(', ')}`] : [];
      });
      return [wrong(`expected ${[...new Set(types)].join(' or ')}, found ${foundName(found)}`)];
    }
    case 'too_small':
    case 'too_big': {
      const limit = issue.code === 'too_small' ? `at least ${issue.minimum}` : `at most ${issue.maximum}`;
      const unit = issue.origin === 'string' ? 'characters' : issue.origin === 'array' ? 'entries' : '';
      return [wrong(`must have ${limit} ${unit}`.trimEnd())];
    }
    case 'invalid_key':
      return [
        source.issueAt(path, `${showPath(path.slice(0, -1))}: ${issue.issues[0]?.message ?? issue.message}`, 'key'),
      ];
    default:
      return [wrong(issue.message)];
  }

  function wrong(message: string): Issue {
    return source.issueAt(path, path.length === 0 ? message : `${showPath(path)}: ${message}`);
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: 'keys with values',
  record: 'keys with values',
  array: 'a list',
  string: 'text',
  boolean: 'true or false',
  number: 'a number',
  null: 'nothing',
};

function typeName(type: string): string {
  return TYPE_NAMES[type] ?? type;
}

function foundName(value: unknown, textExpected = false): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'keys with values';
  if (typeof value === 'string') return show(value);
  return `${typeof value === 'number' ? 'the number ' : ''}${show(value)}${textExpected ? ' (quotes make it text)' : ''}`;
}

function lookUp(value: unknown, path: DocumentPath): unknown {
  return path.reduce<unknown>(
    (part, key) =>
      typeof part === 'object' && part !== null && Object.hasOwn(part, key)
        ? (part as Record<string, unknown>)[key]
        : undefined,
    value,
  );
}

/** Names of the keys that are allowed at a path, found by walking the schema the way the value goes. */
function knownKeys(schema: z.ZodType, path: DocumentPath): string[] {
  let schemas = expand(schema);
  for (const part of path) {
    schemas = schemas.flatMap((each) => {
      if (typeof part === 'number')
        return each.def.type === 'array' ? expand((each as z.ZodArray<z.ZodType>).element) : [];
      if (each.def.type === 'record') return expand((each as z.ZodRecord).valueType as z.ZodType);
      const inner = each.def.type === 'object' ? (each as z.ZodObject).shape[part] : undefined;
      return inner === undefined ? [] : expand(inner as z.ZodType);
    });
  }
  return schemas.flatMap((each) => (each.def.type === 'object' ? Object.keys((each as z.ZodObject).shape) : []));
}

/** Looks through optional parts, defaults and unions. */
function expand(schema: z.ZodType): z.ZodType[] {
  const def = schema.def as {
    readonly type: string;
    readonly innerType?: z.ZodType;
    readonly options?: readonly z.ZodType[];
  };
  if (def.innerType !== undefined) return expand(def.innerType);
  return def.type === 'union' ? (def.options ?? []).flatMap(expand) : [schema];
}

function withoutBadKeys(value: unknown, located: readonly Located[]): unknown {
  const copy: unknown = structuredClone(value);
  for (const { issue, at } of located) {
    const holes = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...at, key]) : [at];
    for (const hole of holes) {
      const parent = lookUp(copy, hole.slice(0, -1));
      const key = hole.at(-1);
      // Taking an entry out of a list would give those behind it another position.
      if (key !== undefined && typeof parent === 'object' && parent !== null && !Array.isArray(parent)) {
        delete (parent as Record<string, unknown>)[key];
      }
    }
  }
  return copy;
}
