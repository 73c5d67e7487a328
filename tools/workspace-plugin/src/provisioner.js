import { generatePlugin } from './plugin-files.js';

/** A provisioner around a hypervisor's adapter. */
export default function provisionerGenerator(tree, { id }) {
  return generatePlugin(tree, 'provisioner', id, { machine: true });
}
