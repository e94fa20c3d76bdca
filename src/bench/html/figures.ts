import type { Bin } from '../histogram.ts';
import type { RampReport, Report, Sample } from '../report.ts';
import { type Bar, barPlot, linePlot } from './plot.ts';

/** Points of a CDF; more would not be seen. */
const CDF_POINTS = 300;
/** Bars of the ITL histogram. */
const BARS = 70;

/** Share of answers within a latency: TTFT, TPOT, E2E. */
export function cdfPlots({ samples, slo }: Report): string {
  const plot = (name: string, field: 'ttftMs' | 'tpotMs' | 'e2eMs', targetMs: number | null) => {
    const marks = targetMs === null ? [] : [{ x: targetMs, name: `target ${targetMs} ms` }];
    const axes = {
      title: `${name}: share of answers within`,
      xLabel: 'ms',
      yLabel: 'share',
      xLog: true,
      yMax: 1,
      marks,
    };
    return linePlot(axes, [{ name, points: cdfOf(samples, field) }]);
  };
  return plot('TTFT', 'ttftMs', slo.ttftMsMax) + plot('TPOT', 'tpotMs', slo.tpotMsMax) + plot('E2E', 'e2eMs', null);
}

function cdfOf(samples: readonly Sample[], field: 'ttftMs' | 'tpotMs' | 'e2eMs'): [number, number][] {
  const values = samples.filter((sample) => sample.error === null).flatMap((sample) => sample[field] ?? []);
  values.sort((a, b) => a - b);
  const every = Math.max(1, Math.floor(values.length / CDF_POINTS));
  return values.flatMap((value, index) => {
    const drawn = index % every === 0 || index === values.length - 1;
    return drawn ? [[Math.max(0.01, value), (index + 1) / values.length] as [number, number]] : [];
  });
}

/** Gaps between frames; their bins are joined until they are wide enough to see. */
export function itlPlot({ itl }: Report): string {
  const axes = { title: 'ITL: gaps between frames with text', xLabel: 'ms', yLabel: 'share of gaps', xLog: true };
  const bars = barsOf(itl);
  return barPlot(axes, bars);
}

function barsOf(bins: readonly Bin[]): Bar[] {
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  const low = Math.max(0.01, bins[0]?.fromMs ?? 0.01);
  const high = bins.at(-1)?.untilMs ?? 1;
  const ratio = Math.max(1.02, (high / low) ** (1 / BARS));
  const counts = new Map<number, number>();
  for (const bin of bins) {
    const index = Math.max(0, Math.floor(Math.log(Math.max(low, bin.fromMs) / low) / Math.log(ratio) + 1e-6));
    counts.set(index, (counts.get(index) ?? 0) + bin.count);
  }
  return [...counts].map(([index, count]) => ({
    from: low * ratio ** index,
    until: low * ratio ** (index + 1),
    height: count / total,
  }));
}

/** Rates, requests under way, latencies. */
export function timelinePlots({ timeline }: Report): string {
  const along = (pick: (point: (typeof timeline)[number]) => number | null) =>
    timeline.map((point) => [point.atMs / 1000, pick(point)] as const);
  const failed = timeline.some((point) => point.failedPerS > 0);
  const xLabel = 'seconds';
  return [
    linePlot({ title: 'Requests', xLabel, yLabel: 'per second' }, [
      { name: 'due', points: along((point) => point.duePerS) },
      { name: 'completed', points: along((point) => point.completedPerS) },
      ...(failed ? [{ name: 'failed', points: along((point) => point.failedPerS) }] : []),
    ]),
    linePlot({ title: 'Under way', xLabel, yLabel: 'requests' }, [
      { name: 'running', points: along((point) => point.running) },
    ]),
    linePlot({ title: 'TTFT, mean of requests that ended', xLabel, yLabel: 'ms' }, [
      { name: 'TTFT', points: along((point) => point.ttftMsMean) },
    ]),
    linePlot({ title: 'TPOT, mean of requests that ended', xLabel, yLabel: 'ms' }, [
      { name: 'TPOT', points: along((point) => point.tpotMsMean) },
    ]),
    linePlot({ title: 'Output tokens, spread evenly over each answer', xLabel, yLabel: 'tokens/s' }, [
      { name: 'output', points: along((point) => point.outputTokensPerS) },
    ]),
  ].join('');
}

/** Share in time over the rate, with the share that is asked for. */
export function rampPlot({ probes, percentile }: RampReport): string {
  const byRate = [...probes].sort((a, b) => a.ratePerS - b.ratePerS);
  const axes = { title: 'Share of requests in time', xLabel: 'requests/s', yLabel: 'share', xLog: true, yMax: 1 };
  const rates = byRate.map((probe) => probe.ratePerS);
  return linePlot(axes, [
    { name: 'in time', points: byRate.map((probe) => [probe.ratePerS, probe.summary.goodput?.share ?? null]) },
    { name: `asked for (p${percentile})`, points: rates.map((rate) => [rate, percentile / 100]) },
  ]);
}
