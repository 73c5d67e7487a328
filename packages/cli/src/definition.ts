import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SEAL_OPERATION_NAMES } from '@polyvisor/build';
import { type DefinitionError, errorKind, type Issue } from '@polyvisor/core';
import { type Definition, loadDefinition, parseVariables, type Requested, type Requests } from '@polyvisor/definition';
import type { Host } from '@polyvisor/host';
import type { z } from 'zod';
import type { Session } from './session.js';

/** Options of every command that reads a definition. */
export interface VariableOptions {
  readonly var?: readonly string[] | undefined;
  readonly varFile?: readonly string[] | undefined;
}

/** The definitions that come with the published package; those of the repository where the command runs from a clone. */
const SHIPPED = [new URL('../definitions', import.meta.url), new URL('../../../definitions', import.meta.url)]
  .map((url) => fileURLToPath(url))
  .filter((path, index) => existsSync(path) && (index === 0 || existsSync(join(path, '../packages/cli'))))
  .slice(0, 1);

/** Where definitions are looked for by name: the project's folders, `definitions` beside them, those that we ship. */
export async function definitionFolders(run: Session): Promise<readonly string[]> {
  const { definitions, directory } = await run.project();
  return [...definitions, join(directory, 'definitions'), ...SHIPPED];
}

/** Which requests of a definition matter to a command: those that its own options do not replace. */
export interface Judged {
  readonly targets: boolean;
  readonly provisioner: boolean;
}

/**
 * Reads a definition, given by name, folder or file. Its problems and those that only the loaded plugins can see are
 * reported together. From then on its secrets are hidden everywhere.
 */
export async function openDefinition(
  run: Session,
  argument: string,
  options: VariableOptions,
  judged: Judged = { targets: true, provisioner: true },
): Promise<Definition> {
  const project = await run.project();
  const host = await run.host();
  const { cwd, env } = run.io;
  const definition = await loadDefinition(inFolder(argument, cwd), {
    searchFolders: await definitionFolders(run),
    variables: parseVariables(options.var ?? []),
    variableFiles: [...project.variables, ...(options.varFile ?? []).map((file) => resolve(cwd, file))],
    environment: env,
    sealOperations: SEAL_OPERATION_NAMES,
    check: (requests) => judge(requests, host, judged),
  });
  await run.hide(definition.appliance.secrets);
  return definition;
}

/** Names stay names; what looks like a path is taken from the run's folder, where that is not the process's. */
export function inFolder(argument: string, cwd: string): string {
  const isPath = argument.includes('/') || argument.startsWith('.') || /\.ya?ml$/i.test(argument);
  return isPath && !isAbsolute(argument) && cwd !== process.cwd() ? resolve(cwd, argument) : argument;
}

/** What only the plugins can tell: whether a definition's formats and provisioner exist, and whether their options are right. */
function judge({ targets, provisioner, issueAt }: Requests, host: Host, judged: Judged): Issue[] {
  const issues = judged.targets
    ? targets.flatMap((target) => check(target, () => host.converter(target.id), issueAt))
    : [];
  if (judged.provisioner && provisioner !== undefined)
    issues.push(...check(provisioner, () => host.provisioner(provisioner.id), issueAt));
  return issues;
}

function check(
  requested: Requested,
  find: () => { readonly options: z.ZodType },
  issueAt: Requests['issueAt'],
): Issue[] {
  let schema: z.ZodType;
  try {
    schema = find().options;
  } catch (error) {
    if (errorKind(error) !== 'definition') throw error;
    const { message, hint } = error as DefinitionError;
    return [issueAt(requested.path, message, hint)];
  }
  const result = schema.safeParse(requested.options);
  if (result.success) return [];
  const hint = `\`polyvisor plugins --options ${requested.id}\` lists its options`;
  return result.error.issues.flatMap((issue) => {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [];
    if (keys.length > 0)
      return keys.map((key) => issueAt([...requested.path, key], `${requested.id} has no option ${key}`, hint));
    const path = issue.path.filter((part) => typeof part !== 'symbol');
    return [issueAt([...requested.path, ...path], `${[requested.id, ...path].join('.')}: ${issue.message}`, hint)];
  });
}
