import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DefinitionError, errorKind, type Issue } from '@polyvisor/core';
import { type Definition, loadDefinition, parseVariables, type Requested } from '@polyvisor/definition';
import type { Host } from '@polyvisor/host';
import type { z } from 'zod';
import type { Session } from './session.js';

/** Options of every command that reads a definition. */
export interface VariableOptions {
  readonly var?: readonly string[] | undefined;
  readonly varFile?: readonly string[] | undefined;
}

/** The definitions that come with the published package; in the repository they are where a project has them. */
const SHIPPED = fileURLToPath(new URL('../definitions', import.meta.url));

/** Where definitions are looked for by name: the project's folders, `definitions` beside them, those that we ship. */
export async function definitionFolders(run: Session): Promise<readonly string[]> {
  const { definitions, directory } = await run.project();
  return [...definitions, join(directory, 'definitions'), SHIPPED];
}

/** Reads a definition, given by name, folder or file. From then on its secrets are hidden everywhere. */
export async function openDefinition(run: Session, argument: string, options: VariableOptions): Promise<Definition> {
  const project = await run.project();
  const { cwd, env } = run.io;
  const definition = await loadDefinition(inFolder(argument, cwd), {
    searchFolders: await definitionFolders(run),
    variables: parseVariables(options.var ?? []),
    variableFiles: [...project.variables, ...(options.varFile ?? []).map((file) => resolve(cwd, file))],
    environment: env,
  });
  await run.hide(definition.appliance.secrets);
  return definition;
}

/** Names stay names; what looks like a path is taken from the run's folder, where that is not the process's. */
export function inFolder(argument: string, cwd: string): string {
  const isPath = argument.includes('/') || argument.startsWith('.') || /\.ya?ml$/i.test(argument);
  return isPath && !isAbsolute(argument) && cwd !== process.cwd() ? resolve(cwd, argument) : argument;
}

/**
 * Everything in a definition that only the loaded plugins can judge: whether its formats and its provisioner exist, and
 * whether their options are right. Throws one error with the place of each problem. Not all of it need be of interest.
 */
export function checkRequests(
  definition: Definition,
  host: Host,
  { targets, provisioner }: Partial<Pick<Definition, 'targets' | 'provisioner'>> = definition,
): void {
  const issues = (targets ?? []).flatMap((target) => check(target, () => host.converter(target.id), definition));
  if (provisioner !== undefined) issues.push(...check(provisioner, () => host.provisioner(provisioner.id), definition));
  if (issues.length === 0) return;
  throw new DefinitionError(
    'definition-invalid',
    `${definition.file}: ${issues.length} ${issues.length === 1 ? 'problem' : 'problems'}`,
    {
      issues: issues.sort((one, other) => (one.line ?? 0) - (other.line ?? 0)),
      hint: '`polyvisor plugins --options <id>` lists the options of a format or provisioner',
    },
  );
}

function check(requested: Requested, find: () => { readonly options: z.ZodType }, definition: Definition): Issue[] {
  let schema: z.ZodType;
  try {
    schema = find().options;
  } catch (error) {
    if (errorKind(error) !== 'definition') throw error;
    const { message, hint } = error as DefinitionError;
    return [definition.issueAt(requested.path, message, hint)];
  }
  const result = schema.safeParse(requested.options);
  if (result.success) return [];
  return result.error.issues.flatMap((issue) => {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [];
    if (keys.length > 0)
      return keys.map((key) => definition.issueAt([...requested.path, key], `${requested.id} has no option ${key}`));
    const path = issue.path.filter((part) => typeof part !== 'symbol');
    return [definition.issueAt([...requested.path, ...path], `${[requested.id, ...path].join('.')}: ${issue.message}`)];
  });
}
