import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { type AnswerFile, DefinitionError, formatBytes, ioError, type Issue } from '@polyvisor/core';
import { checkAnswerName } from './answer-name.js';
import { expandValues } from './expand-values.js';
import type { Values } from './values.js';

/** Bytes of one template, of another file, and of all files together. They are held in memory. */
const TEMPLATE_LIMIT = 1024 ** 2;
const FILE_LIMIT = 16 * 1024 ** 2;
const TOTAL_LIMIT = 64 * 1024 ** 2;

/**
 * Reads the files for a guest and puts values into the templates among them; a file's own variables come before values of
 * the same name. The result is in the order of `files`. Problems of all templates are thrown together.
 */
export async function renderAnswers(
  files: readonly AnswerFile[],
  values: Values,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const rendered = new Map<string, Uint8Array>();
  const issues: Issue[] = [];
  let total = 0;
  for (const file of files) {
    signal?.throwIfAborted();
    checkAnswerName(file.name);
    if (rendered.has(file.name))
      throw new DefinitionError('answer-twice', `two answer files are called ${JSON.stringify(file.name)}`, {
        hint: 'the guest could see only one of them: rename or remove the other',
      });
    const bytes = await readBounded(file.from, file.template ? TEMPLATE_LIMIT : FILE_LIMIT, file.template);
    total += bytes.length;
    if (total > TOTAL_LIMIT) throw tooLarge('the answer files together', TOTAL_LIMIT, false);
    rendered.set(file.name, file.template ? renderTemplate(file, bytes, values, issues) : bytes);
  }
  if (issues.length > 0)
    throw new DefinitionError('template-invalid', 'the answer files have values that cannot be put in', { issues });
  return rendered;
}

function renderTemplate(file: AnswerFile, bytes: Uint8Array, values: Values, issues: Issue[]): Uint8Array {
  try {
    // A byte order mark stays where it is: Windows' files need it.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return Buffer.from(expandValues(text, { ...values, ...file.variables }, { file: file.from }));
  } catch (error) {
    if (error instanceof DefinitionError) issues.push(...error.issues);
    else if (error instanceof TypeError)
      issues.push({
        file: file.from,
        message: 'a template has to be text in UTF-8',
        hint: 'convert it, or do not call it a template',
      });
    else throw error;
    return bytes;
  }
}

/** The whole of a plain file. Never waits for the other end of a pipe. */
async function readBounded(path: string, limit: number, template: boolean): Promise<Uint8Array> {
  const attempt = `cannot read the answer file ${path}`;
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw ioError(error, attempt);
  });
  try {
    if (!(await handle.stat()).isFile())
      throw new DefinitionError('answer-not-a-file', `the answer file ${path} is no plain file`, {
        hint: 'name a file; a folder is given file by file',
      });
    const buffer = Buffer.alloc(64 * 1024);
    const parts: Buffer[] = [];
    for (let length = 0; ;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, length);
      if (bytesRead === 0) return Buffer.concat(parts);
      length += bytesRead;
      if (length > limit) throw tooLarge(`the answer file ${path}`, limit, template);
      parts.push(Buffer.from(buffer.subarray(0, bytesRead)));
    }
  } catch (error) {
    throw ioError(error, attempt);
  } finally {
    await handle.close();
  }
}

function tooLarge(what: string, limit: number, template: boolean): DefinitionError {
  return new DefinitionError('answer-too-large', `${what} has more than ${formatBytes(limit)}`, {
    hint: template
      ? 'only text is meant to have values put in: do not call it a template'
      : 'answers are held in memory: upload large files over SSH once the system runs',
  });
}
