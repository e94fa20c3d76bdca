import { defineConfig } from 'vitest/config';

// `unit` needs no server and takes seconds; `e2e` starts real engines and processes; `postgres` runs the tests of store
// and control plane again on a real PostgreSQL, with those that are about it.
export default defineConfig({
  test: {
    reporters: ['default', './test/closing-line.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/*.test.ts'],
          exclude: ['**/*.e2e.test.ts', '**/*.postgres.test.ts'],
          testTimeout: 120_000,
          // Files share a process: half the time, and a unit test that leaves global state behind is a defect.
          isolate: false,
          // Half of their time is waiting for timers and sockets, so more workers than cores pay.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['src/**/*.e2e.test.ts', 'test/e2e/**/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          // Every file starts a real engine on all cores: one at a time.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'postgres',
          include: ['src/control/**/*.test.ts', 'src/store/ledger.test.ts', 'src/**/*.postgres.test.ts'],
          // These look into SQLite's own plans and full disk.
          exclude: ['src/control/plans.test.ts', 'src/control/usage/disk.test.ts'],
          globalSetup: ['test/postgres.ts'],
          testTimeout: 240_000,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
