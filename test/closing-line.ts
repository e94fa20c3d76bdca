import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run with `N passed, N failed, N skipped` alone on a line, for readers that know no vitest. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      let moduleFailed = module.errors().length > 0;
      for (const test of module.children.allTests()) {
        const state = test.result().state;
        if (state === 'pending') continue;
        counts[state] += 1;
        if (state === 'failed') moduleFailed = false;
      }
      if (moduleFailed) counts.failed += 1;
    }
    // After the default reporter's own summary.
    setImmediate(() => console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`));
  }
}
