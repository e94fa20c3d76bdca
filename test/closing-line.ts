import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run with every skip's reason, then `N passed, N failed, N skipped` alone on a line, for readers that know no vitest. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const skips: string[] = [];
    for (const module of modules) {
      let moduleFailed = module.errors().length > 0;
      for (const test of module.children.allTests()) {
        const result = test.result();
        const { state } = result;
        if (state === 'pending') continue;
        counts[state] += 1;
        if (state === 'skipped') skips.push(`skipped: ${test.fullName}: ${result.note ?? 'no reason given'}`);
        if (state === 'failed') moduleFailed = false;
      }
      if (moduleFailed) counts.failed += 1;
    }
    // After the default reporter's own summary.
    setImmediate(() =>
      console.log(
        `\n${skips.map((line) => `${line}\n`).join('')}${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`,
      ),
    );
  }
}
