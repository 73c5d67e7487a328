import { DefinitionError, formatBytes, suggest } from '@polyvisor/core';
import type { ContributionDescription, PluginDescription } from '@polyvisor/host';
import { optionLines } from '../options-text.js';
import type { Configure } from '../program.js';
import { table } from '../table.js';

export const configure: Configure = (command, session) => {
  command
    .option('--options <id>', 'explain one format, provisioner or booter: what it can do and which options it takes')
    .addHelpText(
      'after',
      `
Examples:
  $ polyvisor plugins
  $ polyvisor plugins --options qcow2
  $ polyvisor plugins --plugin ./my-format`,
    )
    .action(async ({ options }) => {
      const run = session();
      const plugins = (await run.host()).plugins();
      if (options === undefined) {
        run.answer({ command: 'plugins', plugins }, listOf(plugins));
        return;
      }
      const found = contributionsOf(plugins).filter(({ value }) => value.id === options);
      if (found.length === 0) throw unknown(options, plugins);
      run.answer(
        {
          command: 'plugins',
          contributions: found.map(({ kind, plugin, value }) => ({ kind, plugin: plugin.name, ...value })),
        },
        found.map(explain).join('\n\n'),
      );
    });
};

interface Contribution {
  readonly kind: 'format' | 'provisioner' | 'booter';
  readonly plugin: PluginDescription;
  readonly value: ContributionDescription;
}

function contributionsOf(plugins: readonly PluginDescription[]): Contribution[] {
  return plugins.flatMap((plugin) => [
    ...plugin.converters.map((value) => ({ kind: 'format' as const, plugin, value })),
    ...plugin.provisioners.map((value) => ({ kind: 'provisioner' as const, plugin, value })),
    ...plugin.booters.map((value) => ({ kind: 'booter' as const, plugin, value })),
  ]);
}

function listOf(plugins: readonly PluginDescription[]): string {
  const found = table(
    [{ title: 'PLUGIN' }, { title: 'VERSION' }, { title: 'FOUND BY' }, { title: 'PACKAGE' }],
    plugins.map(({ name, version = '', origin, package: from }) => [name, version, origin, from]),
  );
  const brought = table(
    [{ title: 'KIND' }, { title: 'ID' }, { title: 'FILES, SOURCES' }, { title: 'FROM' }, { title: 'WHAT IT IS' }],
    contributionsOf(plugins).map(({ kind, plugin, value }) => [
      kind,
      value.id,
      value.extension ?? sourcesOf(value.capabilities),
      plugin.name,
      value.summary,
    ]),
  );
  return `${found}\n\n${brought}\n\n\`polyvisor plugins --options <id>\` explains one of them.`;
}

/** What a provisioner can start from. */
function sourcesOf(capabilities: object): string {
  const { sources } = capabilities as { readonly sources?: readonly string[] };
  return sources?.join(', ') ?? '';
}

function explain({ kind, plugin, value }: Contribution): string {
  return [
    `${kind} ${value.id}: ${value.summary}`,
    `from ${plugin.package}${plugin.version === undefined ? '' : ` ${plugin.version}`} (${plugin.origin})`,
    '',
    'Capabilities:',
    ...Object.entries(value.capabilities).map(([name, capability]) => `  ${name}: ${capabilityText(name, capability)}`),
    ...(value.options === undefined ? [] : ['', 'Options:', ...optionLines(value.options).map((line) => `  ${line}`)]),
  ].join('\n');
}

function capabilityText(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.join(', ') || 'none';
  if (typeof value === 'number' && /size/i.test(name)) return `${value} bytes (${formatBytes(value)})`;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function unknown(id: string, plugins: readonly PluginDescription[]): DefinitionError {
  const known = contributionsOf(plugins).map(({ value }) => value.id);
  const meant = suggest(id, known);
  return new DefinitionError('contribution-unknown', `no plugin brings ${id}; known: ${known.join(', ')}`, {
    hint: meant === undefined ? 'load its plugin with --plugin' : `did you mean ${meant}?`,
  });
}
