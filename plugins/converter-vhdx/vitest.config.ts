import { defineProject } from 'vitest/config';
import { shared } from '../../vitest.shared.js';

export default defineProject({
  ...shared,
  test: { ...shared.test, name: '@polyvisor/converter-vhdx', root: import.meta.dirname },
});
