import { readFile, stat } from 'node:fs/promises';
import { type AnswerFile, type Answers, BUILD_VALUES, didYouMean } from '@polyvisor/core';
import { templateValues } from './answer-values.js';
import type { DocumentPath } from './document.js';
import { showFile } from './find.js';
import type { SourceContext } from './source-context.js';
import type { AnswersEntry } from './source-schema.js';
import { TEMPLATE_HINT, templateMarks } from './template.js';

/** Of one template, in bytes. */
const MAX_TEMPLATE_BYTES = 2 ** 20;

/** The files that answer an installer. What templates name is looked up now, where it can still be mended in time. */
export async function readAnswers(entry: AnswersEntry, path: DocumentPath, context: SourceContext): Promise<Answers> {
  const { seed } = entry;
  const http = await readFiles(entry.http, [...path, 'http'], context);
  if (seed === undefined) return { http };
  if (Object.keys(seed.files).length === 0)
    context.report([...path, 'seed', 'files'], 'a medium without files answers nothing');
  const files = await readFiles(seed.files, [...path, 'seed', 'files'], context);
  return { http, seed: { label: seed.label, filesystem: seed.filesystem, files } };
}

async function readFiles(
  entries: AnswersEntry['http'],
  path: DocumentPath,
  context: SourceContext,
): Promise<readonly AnswerFile[]> {
  const files: AnswerFile[] = [];
  for (const [name, entry] of Object.entries(entries)) {
    const place = [...path, name];
    const { file, template } = typeof entry === 'string' ? { file: entry, template: true } : entry;
    const at = typeof entry === 'string' ? place : [...place, 'file'];
    const from = await context.file(file, at);
    if (from === undefined) continue;
    const variables = template ? await checkTemplate(from, file, at, context) : {};
    files.push({ name, from, template, variables });
  }
  return files;
}

/** Reports what a template names and nobody has; returns the values that it can have. */
async function checkTemplate(
  path: string,
  shown: string,
  place: DocumentPath,
  context: SourceContext,
): Promise<Readonly<Record<string, string>>> {
  const plain = 'write {file: …, template: false} for a file that is to stay as it is';
  const { size } = await stat(path);
  if (size > MAX_TEMPLATE_BYTES) {
    context.report(
      place,
      `${JSON.stringify(shown)} is too large for a template: ${size} bytes, at most ${MAX_TEMPLATE_BYTES}`,
      plain,
    );
    return {};
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(path));
  } catch {
    context.report(place, `${JSON.stringify(shown)} is not text in UTF-8, as a template has to be`, plain);
    return {};
  }
  const marks = [...templateMarks(text)];
  const names = new Set(marks.flatMap(({ name }) => (name === undefined ? [] : [name])));
  const values = await templateValues(names, context);
  for (const mark of marks) {
    const problem = markProblem(mark, values, context);
    if (problem === undefined) continue;
    const before = text.slice(0, mark.start).split('\n');
    const column = (before.at(-1) ?? '').length + 1;
    context.reportIn(showFile(path), before.length, column, problem.message, problem.hint);
  }
  return values;
}

function markProblem(
  mark: { readonly name?: string; readonly text: string },
  values: Readonly<Record<string, string>>,
  { variables }: SourceContext,
): { readonly message: string; readonly hint: string } | undefined {
  const { name } = mark;
  if (name === undefined) return { message: `${JSON.stringify(mark.text)} is not a value`, hint: TEMPLATE_HINT };
  if ((BUILD_VALUES as readonly string[]).includes(name)) {
    if (!variables.has(name)) return undefined;
    return {
      message: `"${name}" is a value of the build here, and a variable of the definition`,
      hint: 'give the variable another name',
    };
  }
  if (Object.hasOwn(values, name)) return undefined;
  if (variables.has(name) || name.startsWith('mirror-'))
    return {
      message: `"${name}" has no value`,
      hint: `give --var ${name.startsWith('mirror') ? 'mirror' : name}=…, or a default`,
    };
  const known = [...BUILD_VALUES, ...Object.keys(values), ...variables.keys()];
  return {
    message: `there is no value "${name}"${didYouMean(name, known)}`,
    hint: `declare it under "variables", or take one of the build: ${BUILD_VALUES.join(', ')}`,
  };
}

/** What boot commands and kernel arguments name: values of the build alone, since variables are written as `${name}` there. */
export function checkCommand(
  texts: readonly string[],
  path: DocumentPath,
  context: SourceContext,
  served: boolean,
): void {
  const known: readonly string[] = BUILD_VALUES;
  texts.forEach((text, index) => {
    const place = [...path, index];
    for (const { name, text: mark } of templateMarks(text)) {
      if (name === undefined) context.report(place, `${JSON.stringify(mark)} is not a value`, TEMPLATE_HINT);
      else if (context.variables.has(name) && !known.includes(name))
        context.report(place, `"${name}" is a variable; write \${${name}} here`);
      else if (!known.includes(name))
        context.report(place, `there is no value "${name}"${didYouMean(name, known)}`, `known: ${known.join(', ')}`);
      else if (name.startsWith('answers') && !served)
        context.report(place, `"${name}" is the address of nothing: no files are given under answers.http`);
    }
  });
}
