import { join } from 'node:path';
import { formatFiles, generateFiles, names, readJson } from '@nx/devkit';

const ID = /^[a-z][a-z0-9-]*$/;

/**
 * Lays out `plugins/<kind>-<id>`: what all plugins share, then what is particular to the kind. Nothing outside that
 * folder and the documentation is touched, because nothing in this repository lists the plugins.
 */
export async function generatePlugin(tree, kind, id, extra, more = () => undefined) {
  if (!ID.test(id))
    throw new Error(`${JSON.stringify(id)} is no id: it must start with a letter and hold only a-z, 0-9 and -`);
  const name = `${kind}-${id}`;
  const folder = `plugins/${name}`;
  if (tree.exists(folder)) throw new Error(`${folder} exists; choose another id or remove it`);
  const core = readJson(tree, 'packages/core/package.json');
  const values = {
    id,
    name,
    package: `@polyvisor/${name}`,
    identifier: names(id).propertyName,
    className: names(id).className,
    version: core.version,
    node: core.engines.node,
    zod: core.dependencies.zod,
    machine: false,
    tmpl: '',
    ...extra,
  };
  generateFiles(tree, join(import.meta.dirname, 'files/plugin'), folder, values);
  generateFiles(tree, join(import.meta.dirname, 'files', kind), folder, values);
  more(values);
  await formatFiles(tree);
  return () => {
    console.log(
      `\n${folder} is laid out. Next: \`npm install\` links it, and \`npm test -- --project ${values.package}\` says what is missing.`,
    );
  };
}
