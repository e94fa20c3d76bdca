import { lastProbe, type Report } from '../report.ts';
import type { Percentiles } from '../statistics.ts';
import { cdfPlots, itlPlot, rampPlot, timelinePlots } from './figures.ts';
import { escapeHtml } from './plot.ts';
import { pageOf } from './shell.ts';

/** The report as one page without anything from outside: no script, no font, no request. */
export function reportHtml(report: Report): string {
  const { target, workload, summary } = report;
  const title = `Load test of ${target.model}`;
  const notes = [...workload.notes, ...summary.notes].map((note) => `<li>${escapeHtml(note)}</li>`);
  return pageOf(
    title,
    `<p class="lead">${escapeHtml(workload.text)}</p>
<p>${escapeHtml(target.url)} · ${escapeHtml(report.at.replace('T', ' ').slice(0, 19))} UTC · ${(report.elapsedMs / 1000).toFixed(1)} s, the first ${(report.limits.warmUpMs / 1000).toFixed(0)} s not counted · seed ${workload.seed}</p>
${notes.length === 0 ? '' : `<ul class="notes">${notes.join('')}</ul>`}
${rampSection(report)}
<section class="tiles">${tiles(report)}</section>
<h2>Latency</h2>
${latencyTable(report)}
<div class="plots">${cdfPlots(report)}${itlPlot(report)}</div>
<h2>Over time</h2>
<div class="plots">${timelinePlots(report)}</div>
${errorTable(report)}
<footer>TTFT: from the time a request was due to its first text. TPOT: (end − first text) ÷ (output tokens − 1). ITL: between frames with text. Made by cubit bench.</footer>`,
  );
}

function rampSection(report: Report): string {
  const { ramp } = report;
  if (ramp === null) return '';
  const rows = ramp.probes.map(({ ratePerS, met, summary }) => [
    ratePerS.toPrecision(3),
    met ? 'met' : 'missed',
    summary.goodput === null ? '–' : percent(summary.goodput.share),
    two(summary.ttftMs),
    two(summary.tpotMs),
    `${summary.ok} of ${summary.counted}`,
  ]);
  const head = ['requests/s', `p${ramp.percentile}`, 'in time', 'TTFT p50 / p95 ms', 'TPOT p50 / p95 ms', 'answered'];
  return `<h2>Ramp</h2><p class="lead">${escapeHtml(ramp.verdict)}</p>${table(head, rows)}<div class="plots">${rampPlot(ramp)}</div><h2>${lastProbe(ramp)}</h2>`;
}

function tiles({ summary, slo }: Report): string {
  const tile = (name: string, value: string, note: string) =>
    `<div class="tile"><span>${escapeHtml(name)}</span><b>${escapeHtml(value)}</b><small>${escapeHtml(note)}</small></div>`;
  const { goodput, work } = summary;
  const targets = [
    slo.ttftMsMax === null ? [] : `TTFT ≤ ${slo.ttftMsMax} ms`,
    slo.tpotMsMax === null ? [] : `TPOT ≤ ${slo.tpotMsMax} ms`,
  ].flat();
  return [
    tile('Requests', `${summary.ok} of ${summary.counted}`, `${summary.warmUp} more in the warm-up`),
    tile('Completed', `${figure(summary.completedPerS)}/s`, `offered ${figure(summary.offeredPerS)}/s`),
    tile(
      'Output',
      `${figure(summary.outputTokensPerS)} tokens/s`,
      `prompt ${figure(summary.promptTokensPerS)} tokens/s`,
    ),
    tile('From cache', percent(summary.cachedShare), 'of prompt tokens'),
    goodput === null
      ? ''
      : tile('Goodput', percent(goodput.share), `${targets.join(', ')}; ${figure(goodput.requestsPerS)}/s`),
    work === null
      ? ''
      : tile(
          'Work, estimated ÷ actual',
          (work.estimatedUs / work.actualUs).toFixed(2),
          `${figure(work.actualUs / 1e6)} unit-seconds`,
        ),
  ].join('');
}

function latencyTable({ summary }: Report): string {
  const row = (name: string, figures: Percentiles | null) =>
    figures === null
      ? []
      : [[name, ...[figures.mean, figures.p50, figures.p90, figures.p95, figures.p99, figures.max].map(figure)]];
  const rows = [
    ...row('TTFT', summary.ttftMs),
    ...row('TPOT', summary.tpotMs),
    ...row('ITL', summary.itlMs),
    ...row('E2E', summary.e2eMs),
    ...row('Server queue', summary.waitMs),
    ...row('Send lag', summary.lagMs),
  ];
  return table(['ms', 'mean', 'p50', 'p90', 'p95', 'p99', 'max'], rows);
}

function errorTable({ summary }: Report): string {
  const rows = Object.entries(summary.errors).map(([name, count]) => [name, String(count)]);
  return rows.length === 0 ? '' : `<h2>Failed requests</h2>${table(['status and code', 'requests'], rows)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: string, row: readonly string[]) =>
    row.map((text) => `<${tag}>${escapeHtml(text)}</${tag}>`).join('');
  return `<table><thead><tr>${cells('th', head)}</tr></thead><tbody>${rows.map((row) => `<tr>${cells('td', row)}</tr>`).join('')}</tbody></table>`;
}

const figure = (value: number) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3))));
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
const two = (figures: Percentiles | null) =>
  figures === null ? '–' : `${figure(figures.p50)} / ${figure(figures.p95)}`;
