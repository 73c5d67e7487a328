import type { Emit, PluginContext } from '@polyvisor/core';
import { Commands } from './commands.js';
import { createContext } from './context.js';
import { contribute, type Contributions, refuseEqualIds } from './contributions.js';
import { discoverPlugins } from './discovery.js';
import { type Host, PluginHost } from './host.js';
import { container, instanceCachingFactory, Lifecycle } from './injection.js';
import { type LoadedPlugin, loadPlugins } from './load.js';
import type { Project } from './project-file.js';
import { BOOTER, COMMANDS, CONTRIBUTIONS, CONVERTER, EMIT, ENVIRONMENT, PLUGINS, PROVISIONER } from './tokens.js';

export interface HostOptions {
  /** The current folder: what `plugins` that are paths are relative to. */
  readonly cwd: string;
  readonly project: Project;
  /** Package names, or paths that start with `.` or `/`, to load in addition to what is found. */
  readonly plugins: readonly string[];
  /** Look for plugins among the project's packages. */
  readonly discovery: boolean;
  /** `package.json` of the package whose dependencies are the official plugins. */
  readonly official?: URL;
  readonly environment: NodeJS.ProcessEnv;
  readonly emit: Emit;
}

/** Finds, checks and loads the plugins, and puts a run's objects together. The caller disposes the host. */
export async function createHost(options: HostOptions): Promise<Host> {
  const references = await discoverPlugins({
    cwd: options.cwd,
    project: options.project,
    named: options.plugins,
    installed: options.discovery,
    official: options.official,
  });
  return compose(await loadPlugins(references), options);
}

/** The composition root: the only place that registers in, and resolves from, a container, which is one run's own. */
export function compose(
  plugins: readonly LoadedPlugin[],
  { environment, emit }: Pick<HostOptions, 'environment' | 'emit'>,
): Host {
  const run = container.createChildContainer();
  run.registerInstance(ENVIRONMENT, environment);
  run.registerInstance(EMIT, emit);
  run.registerInstance(PLUGINS, plugins);
  run.register(COMMANDS, { useClass: Commands }, { lifecycle: Lifecycle.ContainerScoped });
  for (const loaded of plugins) {
    const context = (): PluginContext => createContext(loaded.plugin.name, run.resolve(COMMANDS), run.resolve(EMIT));
    for (const make of loaded.plugin.converters)
      run.register(CONVERTER, {
        useFactory: instanceCachingFactory(() => contribute('converter', loaded, make, context())),
      });
    for (const make of loaded.plugin.provisioners)
      run.register(PROVISIONER, {
        useFactory: instanceCachingFactory(() => contribute('provisioner', loaded, make, context())),
      });
    for (const make of loaded.plugin.booters)
      run.register(BOOTER, { useFactory: instanceCachingFactory(() => contribute('booter', loaded, make, context())) });
  }
  const contributions: Contributions = {
    converters: () => refuseEqualIds('converter', run.isRegistered(CONVERTER) ? run.resolveAll(CONVERTER) : []),
    provisioners: () => refuseEqualIds('provisioner', run.isRegistered(PROVISIONER) ? run.resolveAll(PROVISIONER) : []),
    booters: () => refuseEqualIds('booter', run.isRegistered(BOOTER) ? run.resolveAll(BOOTER) : []),
  };
  run.registerInstance(CONTRIBUTIONS, contributions);
  return run.resolve(PluginHost);
}
