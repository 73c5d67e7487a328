import { defineProject } from 'vitest/config';
import { shared } from '../../vitest.shared.js';

export default defineProject({
  ...shared,
  test: {
    ...shared.test,
    name: 'polyvisor',
    root: import.meta.dirname,
    // The host resolves plugins with the conditions that Node was given: theirs are sources too.
    execArgv: ['--conditions=@polyvisor/source'],
  },
});
