import type { Slo, Summary } from './figures.ts';
import type { RampState } from './ramp.ts';
import type { RampProbe } from './report.ts';

/** At least `percentile` of the counted requests met each target, failed ones counting as missed. */
export function meetsAt(summary: Summary, percentile: number): boolean {
  const { goodput } = summary;
  return goodput !== null && Math.min(goodput.ttftShare, goodput.tpotShare) >= percentile / 100;
}

/** What a probe missed and by how much: `TTFT within 300 ms for 71.4 %, not 95 % (p95 812 ms)`. Empty when nothing. */
export function missedBy(summary: Summary, slo: Slo, percentile: number): string {
  const { goodput } = summary;
  if (goodput === null) return 'no request was counted';
  const part = (name: string, share: number, maxMs: number | null, figure: number | undefined) =>
    maxMs === null || share >= percentile / 100
      ? []
      : [`${name} within ${maxMs} ms for ${percent(share)}, not ${percentile} % (p95 ${figure?.toFixed(0) ?? '–'} ms)`];
  const failed = summary.counted - summary.ok;
  return [
    ...part('TTFT', goodput.ttftShare, slo.ttftMsMax, summary.ttftMs?.p95),
    ...part('TPOT', goodput.tpotShare, slo.tpotMsMax, summary.tpotMs?.p95),
    ...(failed > 0 ? [`${failed} of ${summary.counted} requests failed`] : []),
  ].join('; ');
}

/** How a ramp ended, in a sentence. */
export function rampVerdict(
  state: RampState,
  probes: readonly RampProbe[],
  slo: Slo,
  options: { percentile: number; precision: number; interrupted: boolean },
): string {
  const { metPerS, missedPerS } = state;
  const cut = options.interrupted ? ' Interrupted before the search was over.' : '';
  const missed = probes.findLast((probe) => probe.ratePerS === missedPerS && !probe.met);
  const why = missed === undefined ? '' : missedBy(missed.summary, slo, options.percentile);
  if (metPerS === null) {
    if (missedPerS === null) return `No rate was probed.${cut}`;
    return `Not met even at ${rate(missedPerS)} requests/s: ${why}.${cut}`;
  }
  if (missedPerS === null) return `Met at ${rate(metPerS)} requests/s, the highest that was tried.${cut}`;
  const open =
    missedPerS / metPerS > options.precision ? ' The probes were used up before the limits came closer.' : '';
  return `Met at ${rate(metPerS)} requests/s; missed at ${rate(missedPerS)}: ${why}.${open}${cut}`;
}

const rate = (perS: number) => perS.toPrecision(3);
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
