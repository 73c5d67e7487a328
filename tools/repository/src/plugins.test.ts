import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Plugin, PLUGIN_API, type PluginContext } from '@polyvisor/core';
import { describe, expect, it } from 'vitest';
import { plugins, readText, root } from './repository.js';

/** For plugins that are only asked what they are. */
const refuse = (): never => {
  throw new Error('a plugin ran a command before it was asked to work');
};
const context: PluginContext = {
  log: { debug: refuse, info: refuse, warn: refuse },
  run: refuse,
  start: refuse,
};

async function load(folder: string): Promise<Plugin> {
  const module = (await import(pathToFileURL(join(root, folder, 'src/index.ts')).href)) as { default: Plugin };
  return module.default;
}

describe.each(plugins)('$folder', ({ folder }) => {
  const readReadme = () => readText(`${folder}/README.md`);

  it('is a plugin of the present API, named as its folder', async () => {
    const plugin = await load(folder);
    expect(plugin).toMatchObject({ api: PLUGIN_API, name: folder.split('/')[1] });
    expect(plugin.converters.length + plugin.provisioners.length + plugin.booters.length).toBeGreaterThan(0);
  });

  it('explains every option in its README and in its help', async () => {
    const plugin = await load(folder);
    const parts = [...plugin.converters, ...plugin.provisioners].map((make) => make(context));
    for (const { id, options } of parts) {
      // A strict object is the rule for options; its shape lists them.
      const { shape } = options as unknown as { shape: Readonly<Record<string, { readonly description?: string }>> };
      for (const [name, schema] of Object.entries(shape)) {
        expect(schema.description, `${id}: description of ${name}`).toBeTruthy();
        expect(readReadme(), `${folder}/README.md explains ${name}`).toMatch(
          new RegExp(`^\\|[^|]*\`${name}\`[^|]*\\|`, 'm'),
        );
      }
    }
  });

  it('has a page for each of its formats, linked from its README', async () => {
    const plugin = await load(folder);
    for (const make of plugin.converters) {
      const page = `docs/formats/${make(context).id}.md`;
      expect(existsSync(join(root, page)), page).toBe(true);
      expect(readReadme()).toContain(`../../${page}`);
    }
  });

  it('says how it is judged', () => {
    expect(readReadme()).toMatch(/judged/i);
  });
});
