import { join } from 'node:path';
import { generateFiles } from '@nx/devkit';
import { generatePlugin } from './plugin-files.js';

/** A converter: the plugin's folder and the page of its format. */
export default function converterGenerator(tree, { id, extension = `.${id}` }) {
  return generatePlugin(tree, 'converter', id, { extension }, (values) =>
    generateFiles(tree, join(import.meta.dirname, 'files/converter-docs'), 'docs/formats', values),
  );
}
