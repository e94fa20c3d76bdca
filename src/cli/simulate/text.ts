import type { Distribution } from '../../sim/cluster/log-histogram.ts';
import type { SimulationRun } from '../../sim/cluster/simulate.ts';
import type { Cost, Setting } from './run.ts';

/** The figures for people. */
export function tableOf(setting: Setting, { result }: SimulationRun, wallMs: number, cost: Cost | null): string {
  const row = (name: string, value: string) => `${name.padEnd(26)}${value}`;
  const ms = (name: string, of: Distribution | null) =>
    row(
      name,
      of === null ? '–' : [of.mean, of.p50, of.p95, of.p99].map((value) => figure(value).padStart(10)).join(''),
    );
  const { admission, coefficient, routing, scaler, slo, unit, units } = setting;
  const how =
    scaler === 'static' ? `${units} units` : `${scaler}${coefficient === null ? '' : `, k = ${figure(coefficient)}`}`;
  return [
    `${setting.trace} on ${unit}: ${how}, admission ${admission}, routing ${routing}, seed ${setting.seed}`,
    row(
      'requests',
      `${result.requests}: ${result.completed} completed, ${result.refused} refused, ${result.expired} expired, ${result.failed} failed`,
    ),
    row(
      'in time',
      `${percent(result.sloAttainment)}: TTFT ≤ ${slo.ttftMs} ms + ${slo.ttftPrefillFactor} × own prefill, TPOT ≤ ${slo.tpotMs} ms`,
    ),
    row('ms', ['mean', 'p50', 'p95', 'p99'].map((name) => name.padStart(10)).join('')),
    ms('  TTFT', result.ttftMs),
    ms('  TPOT', result.tpotMs),
    ms('  E2E', result.e2eMs),
    row('goodput', `${figure(result.goodputPerS)} requests/s in time, ${figure(result.tokensPerS)} tokens/s`),
    row(
      'from cache',
      `${percent(result.cacheHitRate)} of blocks, ${percent(result.cacheHitRateTokens)} of prompt tokens`,
    ),
    row('load, most ÷ mean', result.loadMaxOverMean === null ? '–' : result.loadMaxOverMean.toFixed(3)),
    row(
      'unit-hours',
      `${figure(result.unitHours)} from launch, ${figure(result.billedUnitHours)} billed; ${result.scaleEvents} scale events`,
    ),
    ...(cost === null
      ? []
      : [
          row(
            'billed',
            `${figure(cost.base + cost.added)}: ${figure(cost.base)} for base units, ${figure(cost.added)} for added ones`,
          ),
        ]),
    row('simulated', `${figure(result.endS)} s in ${wallMs} ms`),
  ].join('\n');
}

function figure(value: number): string {
  return value >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
