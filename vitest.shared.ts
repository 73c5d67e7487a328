/** Every project's tests run from the sources: the condition selects `src/index.ts` in each package's exports. */
export const shared = {
  resolve: { conditions: ['@polyvisor/source'] },
  ssr: { resolve: { conditions: ['@polyvisor/source'] } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' as const, testTimeout: 30_000, hookTimeout: 30_000 },
};
