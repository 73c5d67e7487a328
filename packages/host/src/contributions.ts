import { type Booter, type DiskConverter, errorKind, type PluginContext, type Provisioner } from '@polyvisor/core';
import { type LoadedPlugin, NAME_PATTERN, refusal } from './load.js';

/** One converter, provisioner or booter, with the plugin that it came from. */
export interface Contribution<T> {
  readonly plugin: LoadedPlugin;
  readonly value: T;
}

/** What all plugins contribute. Each list is made when first asked for, and only once. */
export interface Contributions {
  converters(): readonly Contribution<DiskConverter>[];
  provisioners(): readonly Contribution<Provisioner>[];
  booters(): readonly Contribution<Booter>[];
}

/** Methods without which the rest of the program would fail later and further away. */
const METHODS = {
  converter: ['detect', 'create', 'open'],
  provisioner: ['probe', 'estimate', 'provision'],
  booter: ['probe', 'boot'],
} as const;

export type Kind = keyof typeof METHODS;

/** Calls a plugin's factory and checks what it made. */
export function contribute<T extends { readonly id: string }>(
  kind: Kind,
  plugin: LoadedPlugin,
  make: (context: PluginContext) => T,
  context: PluginContext,
): Contribution<T> {
  let value: T;
  try {
    value = make(context);
  } catch (error) {
    if (errorKind(error) !== undefined) throw error;
    throw refusal('plugin-broken', plugin, `it fails to make its ${kind}: ${String(error)}`, {
      hint: 'install another version of it, or leave it out',
      cause: error,
    });
  }
  const parts = value as Readonly<Record<string, unknown>> | undefined;
  const missing: string[] = METHODS[kind].filter((method) => typeof parts?.[method] !== 'function');
  // Booters have no options; those of the others are a zod schema, of whichever copy of zod.
  const options = parts?.['options'] as { readonly safeParse?: unknown } | undefined;
  if (kind !== 'booter' && typeof options?.safeParse !== 'function') missing.push('options');
  if (typeof parts?.['id'] !== 'string' || !NAME_PATTERN.test(parts['id']) || missing.length > 0) {
    const reason =
      missing.length > 0
        ? `its ${kind} ${String(parts?.['id'])} lacks ${missing.join(', ')}`
        : `its ${kind} has the id ${JSON.stringify(parts?.['id'])}, which does not match ${NAME_PATTERN.source}`;
    throw refusal('plugin-invalid', plugin, reason, { hint: 'see docs/plugins.md for what a plugin must have' });
  }
  return { plugin, value };
}

/** Two contributions of one kind and id cannot be told apart on the command line. */
export function refuseEqualIds<T extends { readonly id: string }>(
  kind: Kind,
  contributions: readonly Contribution<T>[],
): readonly Contribution<T>[] {
  const seen = new Map<string, LoadedPlugin>();
  for (const { plugin, value } of contributions) {
    const other = seen.get(value.id);
    if (other !== undefined) {
      throw refusal(
        'plugin-duplicate',
        plugin,
        `the package ${other.package} (${other.origin}) has a ${kind} ${value.id} too`,
        {
          hint: 'remove one of them',
        },
      );
    }
    seen.set(value.id, plugin);
  }
  return contributions;
}
