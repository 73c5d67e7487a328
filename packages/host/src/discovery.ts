import { realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DefinitionError, EnvironmentError } from '@polyvisor/core';
import {
  entryOf,
  installedPackage,
  isPlugin,
  nearestPackage,
  type PackageFolder,
  readPackage,
  workspaceMembers,
} from './package-file.js';
import type { Project } from './project-file.js';

/** Why a plugin is loaded, in order of precedence: where two have a package of the same name, the first one counts. */
export type Origin = 'command line' | 'project file' | 'project packages' | 'official';

/** A plugin that was found and not yet loaded. */
export interface PluginReference {
  /** Name of its package; of a lone file, the path as given. */
  readonly package: string;
  readonly version: string | undefined;
  readonly origin: Origin;
  /** Address of its entry module, without symbolic links. */
  readonly entry: URL;
  /** Range of Node versions that its package wants. */
  readonly node: string | undefined;
}

export interface DiscoveryOptions {
  /** The current folder: what the user's relative paths are relative to. */
  readonly cwd: string;
  readonly project: Project;
  /** Package names or paths, as given on the command line. */
  readonly named: readonly string[];
  /** Whether to look through the project's packages for the keyword. */
  readonly installed: boolean;
  /** The package whose dependencies are the official plugins. */
  readonly official: URL | undefined;
}

/** Finds every plugin to load, each once. Nothing of them runs yet. */
export async function discoverPlugins(options: DiscoveryOptions): Promise<readonly PluginReference[]> {
  const { cwd, project, named, installed, official } = options;
  const home = official === undefined ? undefined : dirname(fileURLToPath(official));
  const found: PluginReference[] = [];
  for (const name of named) addNamed(found, await byName(name, cwd, home, 'command line'));
  for (const name of project.plugins) addNamed(found, await byName(name, project.directory, home, 'project file'));
  if (installed) for (const one of await projectPackages(cwd)) addFound(found, one, 'project packages');
  if (home !== undefined) for (const one of await officialPackages(home)) addFound(found, one, 'official');
  return found;
}

/** Two different packages of one name that were both asked for by name cannot both be meant. */
function addNamed(found: PluginReference[], reference: PluginReference): void {
  if (found.some(({ entry }) => entry.href === reference.entry.href)) return;
  const other = found.find((one) => one.package === reference.package && one.origin === reference.origin);
  if (other !== undefined) {
    throw new DefinitionError(
      'plugin-duplicate',
      `the plugin package ${reference.package} is named twice on the ${reference.origin}: ${fileURLToPath(other.entry)} and ${fileURLToPath(reference.entry)}`,
      { hint: 'name only one of them' },
    );
  }
  if (!found.some((one) => one.package === reference.package)) found.push(reference);
}

/** What was found without being named gives way to a package of the same name. */
function addFound(found: PluginReference[], candidate: PackageFolder, origin: Origin): void {
  if (found.some((one) => one.package === candidate.file.name)) return;
  const reference = referenceTo(candidate, origin);
  if (!found.some(({ entry }) => entry.href === reference.entry.href)) found.push(reference);
}

async function byName(name: string, base: string, home: string | undefined, origin: Origin): Promise<PluginReference> {
  if (name.startsWith('.') || isAbsolute(name)) return byPath(name, resolve(base, name), origin);
  const candidate =
    (await installedPackage(name, base)) ?? (home === undefined ? undefined : await installedPackage(name, home));
  if (candidate !== undefined) return referenceTo(candidate, origin);
  const isPath = (await stat(resolve(base, name)).catch(() => undefined)) !== undefined;
  throw new DefinitionError('plugin-unknown', `there is no package ${name} for ${base}, named on the ${origin}`, {
    hint: isPath ? `for the path, write ./${name}` : `install it: npm install ${name}`,
  });
}

async function byPath(given: string, path: string, origin: Origin): Promise<PluginReference> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) {
    throw new DefinitionError('plugin-unknown', `there is no plugin at ${path}, named on the ${origin}`, {
      hint: 'check the path; the name of a package is written without ./',
    });
  }
  if (stats.isFile()) {
    const entry = pathToFileURL(await realpath(path));
    const owner = await nearestPackage(dirname(path));
    return { package: given, version: owner?.file.version, origin, entry, node: owner?.file.engines?.node };
  }
  const candidate = await readPackage(path);
  if (candidate === undefined) {
    throw new DefinitionError('plugin-unknown', `${path}, named on the ${origin}, is a folder without package.json`, {
      hint: 'name the file that exports the plugin, or the folder of its package',
    });
  }
  return referenceTo(candidate, origin);
}

function referenceTo(candidate: PackageFolder, origin: Origin): PluginReference {
  const { name, version, engines } = candidate.file;
  try {
    return { package: name ?? candidate.directory, version, origin, entry: entryOf(candidate), node: engines?.node };
  } catch (error) {
    throw new EnvironmentError(
      'plugin-broken',
      `the plugin package ${name ?? candidate.directory} (${origin}) in ${candidate.directory} has no module to load: ${(error as Error).message}`,
      { hint: 'build it, or install it again; its package.json names the module under "exports"', cause: error },
    );
  }
}

/** The project's own packages that carry the keyword: itself, what it depends on, and the members of its workspace. */
async function projectPackages(cwd: string): Promise<PackageFolder[]> {
  const project = await nearestPackage(cwd);
  if (project === undefined) return [];
  const { dependencies, devDependencies, optionalDependencies, workspaces } = project.file;
  const names = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }).sort();
  const installed = await Promise.all(names.map((name) => installedPackage(name, project.directory)));
  const members = workspaces === undefined ? [] : await workspaceMembers(project.directory);
  return [project, ...installed, ...members].filter((one) => one !== undefined).filter(isPlugin);
}

async function officialPackages(home: string): Promise<PackageFolder[]> {
  const own = await readPackage(home);
  if (own === undefined) throw new Error(`no package.json in ${home}`);
  const found: PackageFolder[] = [];
  for (const name of Object.keys(own.file.dependencies ?? {}).sort()) {
    const one = await installedPackage(name, own.directory);
    if (one === undefined) {
      throw new EnvironmentError('package-missing', `the package ${name}, which polyvisor needs, is not installed`, {
        hint: 'install polyvisor again: npm install polyvisor',
      });
    }
    if (isPlugin(one)) found.push(one);
  }
  return found;
}
