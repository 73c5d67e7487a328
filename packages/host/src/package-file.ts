import { readdir, readFile, realpath } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { EnvironmentError } from '@polyvisor/core';
import { moduleResolve } from 'import-meta-resolve';
import { z } from 'zod';

/** Packages with this keyword are plugins. */
export const PLUGIN_KEYWORD = 'polyvisor-plugin';

const names = z.record(z.string(), z.string()).optional().catch(undefined);

/** The few fields that matter here. Others' files are read leniently: a field of the wrong type counts as absent. */
const schema = z.object({
  name: z.string().optional().catch(undefined),
  version: z.string().optional().catch(undefined),
  keywords: z.array(z.string()).optional().catch(undefined),
  engines: z.object({ node: z.string().optional() }).optional().catch(undefined),
  main: z.string().optional().catch(undefined),
  exports: z.unknown().optional(),
  workspaces: z.unknown().optional(),
  dependencies: names,
  devDependencies: names,
  optionalDependencies: names,
});

/** A package on this machine. */
export interface PackageFolder {
  /** Without symbolic links, so that the same package found in two ways is seen to be one. */
  readonly directory: string;
  readonly file: z.output<typeof schema>;
}

export function isPlugin({ file }: PackageFolder): boolean {
  return file.keywords?.includes(PLUGIN_KEYWORD) ?? false;
}

/** The package in this very folder. Undefined when there is no package.json. */
export async function readPackage(directory: string): Promise<PackageFolder | undefined> {
  const path = join(directory, 'package.json');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return { directory: await realpath(directory), file: schema.parse(JSON.parse(text)) };
  } catch (error) {
    throw new EnvironmentError('package-invalid', `${path} is not a valid package.json: ${(error as Error).message}`, {
      hint: 'mend the file',
      cause: error,
    });
  }
}

/** The package that a folder belongs to: the nearest package.json going up. */
export async function nearestPackage(from: string): Promise<PackageFolder | undefined> {
  for (const directory of upwards(from)) {
    const found = await readPackage(directory);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** An installed package, looked for as Node does: in the `node_modules` of the folder and of every folder above. */
export async function installedPackage(name: string, from: string): Promise<PackageFolder | undefined> {
  for (const directory of upwards(from)) {
    const found = await readPackage(join(directory, 'node_modules', name));
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * The packages that npm linked from a project's `node_modules` into the project itself: its workspace's members,
 * whatever patterns name them.
 */
export async function workspaceMembers(root: string): Promise<PackageFolder[]> {
  const real = await realpath(root);
  const modules = join(real, 'node_modules');
  const members: PackageFolder[] = [];
  for (const name of await moduleNames(modules)) {
    const target = await realpath(join(modules, name)).catch(() => undefined);
    const inside = target === undefined ? '..' : relative(real, target);
    if (target === undefined || inside.startsWith('..') || inside.split(sep).includes('node_modules')) continue;
    const member = await readPackage(target);
    if (member !== undefined) members.push(member);
  }
  return members;
}

async function moduleNames(modules: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(modules).catch(() => [])) {
    if (!entry.startsWith('@')) found.push(entry);
    else for (const inner of await readdir(join(modules, entry)).catch(() => [])) found.push(join(entry, inner));
  }
  return found.sort();
}

/** Address of the module that `import '<name>'` loads, in the package's own view. Throws what the resolver throws. */
export function entryOf({ directory, file }: PackageFolder): URL {
  const parent = pathToFileURL(join(directory, 'package.json'));
  if (file.name === undefined || file.exports === undefined || file.exports === null)
    return moduleResolve(`./${file.main ?? 'index.js'}`, parent, conditions());
  return moduleResolve(file.name, parent, conditions());
}

/** What Node's own resolver uses, `--conditions` given to Node included. */
function conditions(): Set<string> {
  const given: string[] = [];
  process.execArgv.forEach((argument, index) => {
    const match = /^(?:--conditions|-C)(?:=(.*))?$/.exec(argument);
    if (match !== null) given.push(match[1] ?? process.execArgv[index + 1] ?? '');
  });
  return new Set([...given, 'node', 'import']);
}

export function* upwards(from: string): Generator<string> {
  for (let directory = from; ; directory = dirname(directory)) {
    yield directory;
    if (directory === dirname(directory)) return;
  }
}
