import { escapeHtml, linePlot, type Series } from '../../bench/html/plot.ts';
import { pageOf } from '../../bench/html/shell.ts';
import type { TimelinePoint } from '../../sim/cluster/meter.ts';
import type { SimulationRun } from '../../sim/cluster/simulate.ts';
import type { Cost, Setting } from './run.ts';
import { tableOf } from './text.ts';

const DECISIONS_SHOWN = 50;

/** One page without anything from outside: figures, load, units and latency over time, the scaling decisions. */
export function reportHtml(setting: Setting, run: SimulationRun, cost: Cost | null): string {
  const { result, scaling, timeline } = run;
  const title = `Simulation of ${setting.trace}`;
  const figures = escapeHtml(tableOf(setting, run, 0, cost).split('\n').slice(0, -1).join('\n'));
  const rows = scaling
    .slice(0, DECISIONS_SHOWN)
    .map(
      ({ atMs, fromUnits, reason, toUnits }) =>
        `<tr><td>${(atMs / 1000).toFixed(0)}</td><td>${fromUnits} → ${toUnits}</td><td>${escapeHtml(reason)}</td></tr>`,
    );
  const decisions =
    rows.length === 0
      ? ''
      : `<h2>Scaling decisions</h2><p>The first ${rows.length} of ${result.scaleEvents}</p><table><thead><tr><th>s</th><th>units</th><th>why</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
  return pageOf(
    title,
    `<pre>${figures}</pre>
<h2>Over time</h2>
<div class="plots">${plots(timeline)}</div>
${decisions}
<footer>TTFT counts from arrival. Made by cubit simulate.</footer>`,
  );
}

function plots(timeline: readonly TimelinePoint[]): string {
  const along = (pick: (point: TimelinePoint) => number | null) =>
    timeline.map((point) => [point.atMs / 1000, pick(point)] as const);
  const plot = (title: string, yLabel: string, series: readonly Series[]) =>
    linePlot({ title, xLabel: 'seconds', yLabel }, series);
  return [
    plot('Load', 'requests/s', [
      { name: 'arrivals', points: along((point) => point.arrivalsPerS) },
      { name: 'refused', points: along((point) => point.refusedPerS) },
    ]),
    plot('Units', 'units', [
      { name: 'ready', points: along((point) => point.readyUnits) },
      { name: 'starting', points: along((point) => point.startingUnits) },
      { name: 'draining', points: along((point) => point.drainingUnits) },
    ]),
    plot('Requests inside', 'requests', [
      { name: 'in units', points: along((point) => point.running) },
      { name: 'waiting', points: along((point) => point.queued) },
    ]),
    plot('TTFT, mean', 'ms', [{ name: 'TTFT', points: along((point) => point.ttftMsMean) }]),
    plot('TPOT, mean', 'ms', [{ name: 'TPOT', points: along((point) => point.tpotMsMean) }]),
  ].join('');
}
