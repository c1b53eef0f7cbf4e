import { defineConfig } from 'vitest/config';

const shared = { pool: 'forks' as const, testTimeout: 20_000 };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: [
            'src/**/*.test.ts',
            'test/wire/**/*.test.ts',
            'test/fuzz/**/*.test.ts',
            'test/flow/**/*.test.ts',
          ],
        },
      },
      {
        test: {
          ...shared,
          name: 'interop',
          include: ['test/interop/**/*.test.ts', 'test/fault/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
