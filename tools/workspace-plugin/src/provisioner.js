import { generatePlugin } from './plugin-files.js';

export default function provisionerGenerator(tree, { id }) {
  return generatePlugin(tree, 'provisioner', id, {});
}
