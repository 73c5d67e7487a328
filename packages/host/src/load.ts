import { EnvironmentError, errorKind, type Plugin, PLUGIN_API } from '@polyvisor/core';
import semver from 'semver';
import type { PluginReference } from './discovery.js';

/** Names of plugins and ids of what they contribute. */
export const NAME_PATTERN = /^[a-z][a-z0-9-]*$/;

export interface LoadedPlugin extends PluginReference {
  readonly plugin: Plugin;
}

/** Loads and checks the plugins; nothing of theirs is called yet. The order stays. */
export async function loadPlugins(references: readonly PluginReference[]): Promise<readonly LoadedPlugin[]> {
  const loaded = await Promise.all(references.map(loadPlugin));
  refuseEqualNames(loaded);
  return loaded;
}

async function loadPlugin(reference: PluginReference): Promise<LoadedPlugin> {
  const { node } = reference;
  if (node !== undefined && !semver.satisfies(process.version, node, { includePrerelease: true })) {
    throw refusal('plugin-incompatible', reference, `it needs Node ${node}, this is ${process.version}`, {
      hint: 'update Node, or install a version of the plugin made for this one',
    });
  }
  let exported: unknown;
  try {
    exported = ((await import(reference.entry.href)) as { default?: unknown }).default;
  } catch (error) {
    if (errorKind(error) !== undefined) throw error;
    throw refusal('plugin-broken', reference, `its module does not load: ${String(error)}`, {
      hint: 'install it again with its dependencies, or leave it out',
      cause: error,
    });
  }
  return { ...reference, plugin: checkShape(reference, exported) };
}

function checkShape(reference: PluginReference, exported: unknown): Plugin {
  const hint = 'its entry must `export default definePlugin({ … })`; see docs/plugins.md';
  if (typeof exported !== 'object' || exported === null) {
    throw refusal('plugin-invalid', reference, 'its entry has no default export that is a plugin', { hint });
  }
  const plugin = exported as Partial<Record<keyof Plugin, unknown>>;
  if (plugin.api !== PLUGIN_API) {
    throw refusal(
      'plugin-incompatible',
      reference,
      `it is made for plugin API ${String(plugin.api)}, this host has ${PLUGIN_API}`,
      {
        hint:
          typeof plugin.api === 'number' && plugin.api > PLUGIN_API
            ? 'update polyvisor, or install an older version of the plugin'
            : 'install a newer version of the plugin',
      },
    );
  }
  if (typeof plugin.name !== 'string' || !NAME_PATTERN.test(plugin.name)) {
    throw refusal(
      'plugin-invalid',
      reference,
      `its name ${JSON.stringify(plugin.name)} does not match ${NAME_PATTERN.source}`,
      {
        hint,
      },
    );
  }
  for (const kind of ['converters', 'provisioners', 'booters'] as const) {
    const factories = plugin[kind];
    if (!Array.isArray(factories) || !factories.every((factory) => typeof factory === 'function')) {
      throw refusal('plugin-invalid', reference, `its ${kind} are not a list of functions`, { hint });
    }
  }
  return exported as Plugin;
}

function refuseEqualNames(plugins: readonly LoadedPlugin[]): void {
  const seen = new Map<string, LoadedPlugin>();
  for (const one of plugins) {
    const other = seen.get(one.plugin.name);
    if (other !== undefined) {
      throw new EnvironmentError(
        'plugin-duplicate',
        `the packages ${other.package} (${other.origin}) and ${one.package} (${one.origin}) both call their plugin ${one.plugin.name}`,
        { hint: 'remove one of them' },
      );
    }
    seen.set(one.plugin.name, one);
  }
}

/** The error for a plugin that was found and cannot be used: its package, where it was found, the reason and the mend. */
export function refusal(
  code: string,
  plugin: Pick<PluginReference, 'package' | 'origin'>,
  reason: string,
  details: { readonly hint: string; readonly cause?: unknown },
): EnvironmentError {
  const mend =
    plugin.origin === 'project packages' ? `${details.hint}; --no-plugin-discovery ignores it` : details.hint;
  return new EnvironmentError(code, `the plugin package ${plugin.package} (${plugin.origin}) is refused: ${reason}`, {
    ...details,
    hint: mend,
  });
}
