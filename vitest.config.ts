import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Generous on purpose: a machine that is busy or slow is no finding. What hangs is cut off all the same.
const shared = {
  pool: 'forks' as const,
  testTimeout: 180_000,
  hookTimeout: 180_000,
  // Each store has a thread and each command a process of its own: what they load is compiled once.
  env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/node', import.meta.url)) },
};

/** They start no program, but take too long for every run. */
const long = ['test/fuzz/imap-session.test.ts'];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          // Most wait for disk and sockets more than for a processor.
          maxWorkers: 3,
          include: [
            'src/**/*.test.ts',
            'test/*.test.ts',
            'test/wire/**/*.test.ts',
            'test/fuzz/**/*.test.ts',
            'test/flow/**/*.test.ts',
          ],
          exclude: long,
        },
      },
      {
        test: {
          ...shared,
          name: 'interop',
          include: ['test/interop/**/*.test.ts', 'test/fault/**/*.test.ts', ...long],
          testTimeout: 900_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
