import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SEAL_OPERATION_NAMES } from '@polyvisor/build';
import { type DefinitionError, errorKind, type InstallerSource, type Issue } from '@polyvisor/core';
import {
  type Definition,
  loadDefinition,
  parseVariables,
  type ReadSource,
  type Requested,
  type Requests,
} from '@polyvisor/definition';
import type { Host } from '@polyvisor/host';
import { outlineKeystrokes } from '@polyvisor/machine';
import type { z } from 'zod';
import { machineArchive } from './machine-archive.js';
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
    currentFolder: cwd,
    machineArchive: () => machineArchive(host.context('polyvisor'), env),
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
function judge({ targets, provisioner, sources, issueAt }: Requests, host: Host, judged: Judged): Issue[] {
  const issues = judged.targets
    ? targets.flatMap((target) => check(target, () => host.converter(target.id), issueAt))
    : [];
  if (judged.provisioner && provisioner !== undefined)
    issues.push(...check(provisioner, () => host.provisioner(provisioner.id), issueAt));
  for (const { source, path } of sources) {
    if (source.kind === 'installer') issues.push(...typingProblems(source, path, issueAt));
    if (source.kind !== 'disk' || source.format === undefined) continue;
    const format = { id: source.format, options: {}, path: [...path, 'format'] };
    // Reading needs no options, so only whether there is such a format matters.
    issues.push(...missing(format, () => host.converter(format.id), issueAt));
  }
  return issues;
}

/** What cannot be typed at an installer's boot menu. */
function typingProblems(
  { start, typing: { command, layout } }: InstallerSource,
  path: ReadSource['path'],
  issueAt: Requests['issueAt'],
): readonly Issue[] {
  if (start === 'direct' || command.length === 0) return [];
  try {
    outlineKeystrokes(command, {
      layout,
      issueAt: (element, _character, message, hint) => issueAt([...path, 'boot-command', element - 1], message, hint),
    });
    return [];
  } catch (error) {
    if (errorKind(error) !== 'definition') throw error;
    const { issues, message, hint, code } = error as DefinitionError;
    return issues.length > 0
      ? issues
      : [issueAt([...path, code === 'layout-unknown' ? 'keyboard' : 'boot-command'], message, hint)];
  }
}

/** The problem with an id that no loaded plugin brings. */
function missing(requested: Requested, find: () => unknown, issueAt: Requests['issueAt']): Issue[] {
  try {
    find();
    return [];
  } catch (error) {
    if (errorKind(error) !== 'definition') throw error;
    const { message, hint } = error as DefinitionError;
    return [issueAt(requested.path, message, hint)];
  }
}

function check(
  requested: Requested,
  find: () => { readonly options: z.ZodType },
  issueAt: Requests['issueAt'],
): Issue[] {
  const absent = missing(requested, find, issueAt);
  if (absent.length > 0) return absent;
  const result = find().options.safeParse(requested.options);
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
