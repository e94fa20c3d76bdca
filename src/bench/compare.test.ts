import { describe, expect, it } from 'vitest';
import { exponential, seededRandom } from '../workload/random.ts';
import { compareReports } from './compare.ts';
import { answered, limits, target } from './fixture.ts';
import { Histogram } from './histogram.ts';
import { reportHtml } from './html/page.ts';
import { isReport, type Report, reportOf } from './report.ts';

function report(
  seed: number,
  factor: number,
  changes: { fingerprint?: string; error?: string; count?: number } = {},
): Report {
  const random = seededRandom(seed);
  const itl = new Histogram();
  const records = Array.from({ length: changes.count ?? 300 }, (_, index) => {
    const ttftMs = factor * (50 + 50 * exponential(random));
    itl.add(ttftMs / 10);
    return answered({
      index,
      dueAtMs: index * 10,
      ttftMs,
      e2eMs: ttftMs + 100,
      error: index === 7 ? (changes.error ?? null) : null,
    });
  });
  const workload = {
    mode: 'rate' as const,
    text: 'a <rate>',
    fingerprint: changes.fingerprint ?? 'f',
    seed,
    notes: [],
  };
  const run = {
    startedAtMs: 0,
    endedBy: 'plan' as const,
    sentMs: 3000,
    elapsedMs: 3200,
    records,
    itl,
    inFlightPeak: 9,
  };
  const slo = { ttftMsMax: 120, tpotMsMax: null };
  return reportOf(run, { target: target('http://h', '<model>'), workload, slo, limits: limits(), ramp: null });
}

describe('comparing two runs', () => {
  it('finds a difference of 10 % in the same requests, which noise would hide in others', () => {
    const paired = compareReports(report(1, 1), report(1, 1.1));
    expect(paired.paired).toBe(true);
    const mean = paired.differences.find((row) => row.metric === 'TTFT mean');
    expect(mean).toMatchObject({ verdict: 'higher' });
    expect(mean?.change).toBeCloseTo(0.1, 6);
    expect(mean?.changeLow).toBeCloseTo(0.1, 2);
    // Equal TPOTs: nothing to find.
    expect(paired.differences.filter((row) => row.metric.startsWith('TPOT')).map((row) => row.verdict)).toEqual([
      'noise',
      'noise',
      'noise',
    ]);
    expect(compareReports(report(1, 1.1), report(1, 1)).differences[0]?.verdict).toBe('lower');
  });

  it('of two draws of one distribution, noise hides what there is; a doubled latency it does not', () => {
    const apart = (factor: number) => compareReports(report(1, 1), report(2, factor, { fingerprint: 'g' }));
    expect(apart(1).paired).toBe(false);
    expect(apart(1).notes[0]).toMatch(/different requests/);
    expect(
      apart(1)
        .differences.filter((row) => row.metric.startsWith('TTFT'))
        .map((row) => row.verdict),
    ).toEqual(['noise', 'noise', 'noise']);
    expect(apart(2).differences[0]).toMatchObject({ metric: 'TTFT mean', verdict: 'higher' });
  });

  it('gives the same intervals again, and says what weakens them', () => {
    const [a, b] = [report(1, 1), report(1, 1.1, { error: 'silent' })];
    expect(compareReports(a, b)).toEqual(compareReports(a, b));
    expect(compareReports(a, b).notes.join('\n')).toMatch(/Failed requests: 0 of 300 and 1 of 300/);
    const few = compareReports(report(1, 1, { count: 5 }), report(1, 1, { count: 5 }));
    expect(few.differences).toEqual([]);
    expect(few.notes.join('\n')).toMatch(/Fewer than 20/);
  });

  it('knows a report by its form', () => {
    expect(isReport(JSON.parse(JSON.stringify(report(1, 1))))).toBe(true);
    for (const other of [null, 1, [], {}, { kind: 'cubit-bench', version: 2 }]) expect(isReport(other)).toBe(false);
  });
});

describe('the page', () => {
  const page = reportHtml(report(1, 1, { error: 'odd <b>code</b>' }));

  it('is one file that asks for nothing, with a plot for every figure', () => {
    expect(page).not.toMatch(/<script|<link|<img|src=|url\(|@import/);
    expect(page.match(/<svg/g)).toHaveLength(9);
    for (const title of [
      'TTFT: share',
      'TPOT: share',
      'E2E: share',
      'ITL: gaps',
      'Requests',
      'Under way',
      'Output tokens',
    ]) {
      expect(page).toContain(title);
    }
    expect(page).not.toMatch(/NaN|Infinity|undefined|null/);
  });

  it('shows text of servers and command lines as text', () => {
    expect(page).toContain('Load test of &lt;model&gt;');
    expect(page).toContain('a &lt;rate&gt;');
    expect(page).toContain('odd &lt;b&gt;code&lt;/b&gt;');
    expect(page).not.toContain('<b>code');
  });

  it('says so where there is nothing to plot', () => {
    expect(reportHtml(report(1, 1, { count: 0 }))).toContain('nothing to show');
  });
});
