import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DefinitionError, type Issue } from '@polyvisor/core';
import { isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { upwards } from './package-file.js';

const NAME = 'polyvisor.yaml';

/** What a project can settle once for all its commands. Options on the command line come first. */
export const projectSchema = z
  .strictObject({
    plugins: z.array(z.string()).default([]).describe('plugins to load: package names, or paths starting with ./'),
    definitions: z.array(z.string()).default([]).describe('folders in which definitions are looked for by name'),
    output: z.string().optional().describe('folder for artefacts'),
    variables: z.array(z.string()).default([]).describe('files with values for definitions, later ones first'),
  })
  .describe('A project file of polyvisor.');

export interface Project {
  /** Where commands look for packages: the project file's folder, or the current one. */
  readonly directory: string;
  /** Absent when the project has no file of its own. */
  readonly file?: string;
  readonly plugins: readonly string[];
  /** Absolute paths, as all below. */
  readonly definitions: readonly string[];
  readonly output?: string;
  readonly variables: readonly string[];
}

/** Reads the nearest project file going up from `cwd`; without one, the project is the current folder with no settings. */
export async function readProject(cwd: string): Promise<Project> {
  for (const directory of upwards(cwd)) {
    const file = join(directory, NAME);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text !== undefined) return parseProject(file, text);
  }
  return { directory: cwd, plugins: [], definitions: [], variables: [] };
}

function parseProject(file: string, text: string): Project {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const issueAt = (offset: number | undefined, message: string): Issue => {
    if (offset === undefined) return { file, message };
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col, message };
  };
  const issues = document.errors.map((error) => issueAt(error.pos[0], error.message));
  const result = projectSchema.safeParse(document.toJS() ?? {});
  if (issues.length === 0 && !result.success) {
    for (const issue of result.error.issues) {
      const keys = issue.code === 'unrecognized_keys' ? issue.keys : [];
      for (const key of keys) issues.push(issueAt(keyOffset(document.contents, key), `unknown key ${key}`));
      if (keys.length > 0) continue;
      const node = document.getIn(issue.path, true);
      const where = issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
      issues.push(issueAt(isNode(node) ? node.range?.[0] : undefined, `${where}${issue.message}`));
    }
  }
  if (!result.success || issues.length > 0) {
    throw new DefinitionError('project-invalid', `${file} is not a valid project file`, {
      issues: issues.sort((one, other) => (one.line ?? 0) - (other.line ?? 0)),
      hint: `known keys: ${Object.keys(projectSchema.shape).join(', ')}`,
    });
  }
  const directory = dirname(file);
  const absolute = (paths: readonly string[]) => paths.map((path) => resolve(directory, path));
  const { plugins, definitions, output, variables } = result.data;
  return {
    directory,
    file,
    plugins,
    definitions: absolute(definitions),
    variables: absolute(variables),
    ...(output === undefined ? {} : { output: resolve(directory, output) }),
  };
}

function keyOffset(contents: unknown, name: string): number | undefined {
  const key = isMap(contents)
    ? contents.items.find((pair) => isScalar(pair.key) && pair.key.value === name)?.key
    : undefined;
  return isNode(key) ? key.range?.[0] : undefined;
}
