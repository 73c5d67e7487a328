import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { Issue } from '@polyvisor/core';
import { MAX_DOCUMENT_BYTES, parseSource, showPath } from './document.js';
import { VARIABLE_NAME } from './substitute.js';
import type { GivenValue } from './variables.js';

/** Reads a file of variables: a YAML or JSON mapping when it is named so, otherwise lines of `name=value`. */
export async function readVariableFile(file: string, issues: Issue[]): Promise<GivenValue[]> {
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > MAX_DOCUMENT_BYTES) {
      issues.push({ file, message: `the file has ${size} bytes; at most ${MAX_DOCUMENT_BYTES} are read` });
      return [];
    }
    text = await readFile(file, 'utf8');
  } catch (error) {
    issues.push({ file, message: `cannot be read: ${(error as Error).message}` });
    return [];
  }
  return /^\.(ya?ml|json)$/i.test(extname(file)) ? fromYaml(file, text, issues) : fromLines(file, text, issues);
}

function fromYaml(file: string, text: string, issues: Issue[]): GivenValue[] {
  const source = parseSource(file, text, () => true);
  issues.push(...source.issues);
  if (source.brokenFrom !== undefined) return [];
  const values = source.read(issues);
  if (values === undefined || values === null) return [];
  if (typeof values !== 'object' || Array.isArray(values)) {
    issues.push(source.issueAt([], 'expected a mapping of names to values'));
    return [];
  }
  return Object.entries(values).flatMap(([name, value]) => {
    const issueAt = (message: string) => source.issueAt([name], message, 'key');
    if (typeof value === 'string') return [{ name, value, issueAt }];
    issues.push(
      source.issueAt(
        [name],
        `${showPath([name])}: expected text, found ${value === null ? 'nothing' : 'a list or mapping'}`,
      ),
    );
    return [];
  });
}

function fromLines(file: string, text: string, issues: Issue[]): GivenValue[] {
  return text.split(/\r?\n/).flatMap((raw, index) => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) return [];
    const issueAt = (message: string): Issue => ({
      file,
      line: index + 1,
      column: raw.length - raw.trimStart().length + 1,
      message,
    });
    const match = /^(?:export\s+)?([^=\s]+)\s*=\s*(.*)$/.exec(line);
    const name = match?.[1] ?? '';
    if (!VARIABLE_NAME.test(name)) {
      issues.push(issueAt('expected name=value'));
      return [];
    }
    const value = match?.[2] ?? '';
    const quoted = /^(["'])(.*)\1$/.exec(value);
    return [{ name, value: quoted?.[2] ?? value, issueAt }];
  });
}
