import { DefinitionError, type Issue } from '@polyvisor/core';
import { angledPlaceholders, type Placeholder } from './placeholders.js';
import type { TextPlace, Values } from './values.js';

/** Problems shown of one text; a file with more is of another kind. */
const MOST_ISSUES = 100;

/**
 * Puts the values of `<%= name %>` into a template. `<%%` stands for a literal `<%`. Values are put in as they are: not
 * escaped, and never searched for names again. Throws `template-invalid` with every problem of the text.
 */
export function expandValues(text: string, values: Values, where: TextPlace): string {
  return fill(text, angledPlaceholders(text, values), where);
}

/** Puts in what each placeholder became. They come in the order of the text. */
export function fill(text: string, placeholders: Iterable<Placeholder>, where: TextPlace): string {
  const parts: string[] = [];
  const issues: Issue[] = [];
  const place = placeFinder(text, where);
  let done = 0;
  for (const { start, end, result } of placeholders) {
    parts.push(text.slice(done, start));
    done = end;
    if ('value' in result) parts.push(result.value);
    else issues.push({ file: where.file, ...place(start), message: result.problem, hint: result.hint });
    if (issues.length >= MOST_ISSUES) break;
  }
  if (issues.length > 0) {
    const count =
      issues.length === 1 ? 'a value that cannot be put in' : `${issues.length} values that cannot be put in`;
    throw new DefinitionError('template-invalid', `${where.file} has ${count}`, { issues });
  }
  return parts.join('') + text.slice(done);
}

/** Turns ascending offsets into lines and columns, reading the text once. */
function placeFinder(text: string, where: TextPlace): (offset: number) => { line: number; column: number } {
  let line = where.line ?? 1;
  let column = where.column ?? 1;
  let at = 0;
  return (offset) => {
    for (let next = text.indexOf('\n', at); next >= 0 && next < offset; next = text.indexOf('\n', at)) {
      line++;
      column = 1;
      at = next + 1;
    }
    column += offset - at;
    at = offset;
    return { line, column };
  };
}
