import type { Comparison } from '../../bench/compare.ts';
import type { Summary } from '../../bench/figures.ts';
import { lastProbe, type Report } from '../../bench/report.ts';
import type { Percentiles } from '../../bench/statistics.ts';
import { grid } from '../render.ts';

/** A report for a terminal. */
export function reportText(report: Report): string {
  const { summary, target, workload, limits } = report;
  const seconds = (ms: number) => Number((ms / 1000).toFixed(1));
  const head = [
    `${target.url}, model ${target.model}: ${workload.text}`,
    `${seconds(report.elapsedMs)} s, the first ${seconds(limits.warmUpMs)} s warm-up, seed ${workload.seed}`,
  ];
  const notes = [...workload.notes.map((note) => `trace: ${note}`), ...summary.notes].map((note) => `! ${note}`);
  const ramp = report.ramp === null ? [] : [rampText(report.ramp), `${lastProbe(report.ramp)}, in full:`];
  return [...ramp, head.join('\n'), latencyTable(summary), facts(report).join('\n'), notes.join('\n')]
    .filter((part) => part !== '')
    .join('\n\n');
}

function latencyTable(summary: Summary): string {
  const row = (name: string, figures: Percentiles | null) =>
    figures === null
      ? []
      : [[name, ...[figures.mean, figures.p50, figures.p90, figures.p95, figures.p99, figures.max].map(ms)]];
  return grid([
    ['ms', 'mean', 'p50', 'p90', 'p95', 'p99', 'max'],
    ...row('TTFT', summary.ttftMs),
    ...row('TPOT', summary.tpotMs),
    ...row('ITL', summary.itlMs),
    ...row('E2E', summary.e2eMs),
    ...row('server queue', summary.waitMs),
    ...row('send lag', summary.lagMs),
  ]);
}

function facts({ summary, slo }: Report): string[] {
  const { goodput, work, retryAfterMs } = summary;
  const failed = summary.counted - summary.ok;
  const errors = Object.entries(summary.errors).map(([name, count]) => `${count} × ${name}`);
  const retry = retryAfterMs === null ? '' : `; retry-after p50 ${(retryAfterMs.p50 / 1000).toFixed(1)} s`;
  const ratio = summary.promptRatio === null ? '' : `, ${summary.promptRatio.toFixed(2)} × what was meant`;
  const rows = [
    [
      'requests',
      `${summary.ok} ok, ${failed} failed of ${summary.counted} counted${errors.length === 0 ? '' : ` (${errors.join(', ')}${retry})`}; ${summary.warmUp} in the warm-up, at most ${summary.inFlightPeak} at once`,
    ],
    [
      'rates',
      `offered ${figure(summary.offeredPerS)}/s, completed ${figure(summary.completedPerS)}/s; prompt ${figure(summary.promptTokensPerS)} and output ${figure(summary.outputTokensPerS)} tokens/s`,
    ],
    [
      'tokens',
      `prompt ${summary.promptTokens} (${percent(summary.cachedShare)} from cache${ratio}), output ${summary.outputTokens}`,
    ],
  ];
  if (goodput !== null) {
    const targets = [
      ...(slo.ttftMsMax === null ? [] : [`TTFT ≤ ${slo.ttftMsMax} ms`]),
      ...(slo.tpotMsMax === null ? [] : [`TPOT ≤ ${slo.tpotMsMax} ms`]),
    ].join(', ');
    rows.push([
      'goodput',
      `${percent(goodput.share)} met ${targets} (95 % interval ${percent(goodput.shareLow)} to ${percent(goodput.shareHigh)}): ${figure(goodput.requestsPerS)} requests/s`,
    ]);
  }
  if (work !== null) {
    const [estimated, actual] = [work.estimatedUs / 1e6, work.actualUs / 1e6];
    rows.push([
      'work',
      `estimated ${figure(estimated)}, actual ${figure(actual)} unit-seconds (${(estimated / actual).toFixed(2)}) in ${work.receipts} receipts`,
    ]);
  }
  return grid(rows).split('\n');
}

function rampText(ramp: NonNullable<Report['ramp']>): string {
  const rows = ramp.probes.map((probe) => probeRow(probe.ratePerS, probe.met, probe.summary));
  return `${grid([PROBE_HEAD, ...rows])}\n\n${ramp.verdict}`;
}

const PROBE_HEAD = ['requests/s', 'met', 'in time', 'TTFT p50 / p95 ms', 'TPOT p50 / p95 ms', 'counted', 'failed'];

function probeRow(ratePerS: number, met: boolean, summary: Summary): string[] {
  const two = (figures: Percentiles | null) => (figures === null ? '–' : `${ms(figures.p50)} / ${ms(figures.p95)}`);
  const { goodput, counted, ok } = summary;
  const share = goodput === null ? '–' : percent(goodput.share);
  const failed = String(counted - ok);
  return [
    ratePerS.toPrecision(3),
    met ? 'yes' : 'no',
    share,
    two(summary.ttftMs),
    two(summary.tpotMs),
    String(counted),
    failed,
  ];
}

/** One probe of a ramp, as it ends. */
export function probeLine(ratePerS: number, met: boolean, summary: Summary): string {
  const [rate, , share, ttft, tpot, counted, failed] = probeRow(ratePerS, met, summary);
  return `${rate} requests/s: ${met ? 'met' : 'missed'}, ${share} in time; TTFT p50 / p95 ${ttft} ms, TPOT ${tpot} ms; ${counted} requests, ${failed} failed`;
}

export function comparisonText(comparison: Comparison): string {
  const rows = comparison.differences.map((row) => [
    row.metric,
    ms(row.a),
    ms(row.b),
    signed(row.change),
    `${signed(row.changeLow)} to ${signed(row.changeHigh)}`,
    row.verdict === 'noise' ? 'no difference beyond noise' : `B is ${row.verdict}`,
  ]);
  const table = grid([['ms', 'A', 'B', 'change', '95 % interval', ''], ...rows]);
  const how = comparison.paired ? 'Paired: the same requests in both runs.' : 'Not paired.';
  return [table, how, ...comparison.notes.map((note) => `! ${note}`)].join('\n');
}

const ms = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2));
const figure = (value: number) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
const signed = (share: number) => `${share > 0 ? '+' : ''}${(share * 100).toFixed(1)} %`;
