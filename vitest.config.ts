import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: ['packages/*', 'plugins/*', 'tools/*/vitest.config.ts'],
    // One worker for each processor: many suites wait for another program half of the time.
    maxWorkers: availableParallelism(),
    reporters: process.env['CI'] ? ['default', 'junit'] : ['default'],
    outputFile: { junit: 'coverage/junit.xml' },
  },
});
