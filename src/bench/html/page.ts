import { lastProbe, type Report } from '../report.ts';
import type { Percentiles } from '../statistics.ts';
import { cdfPlots, itlPlot, rampPlot, timelinePlots } from './figures.ts';
import { escapeHtml } from './plot.ts';

/** The report as one page without anything from outside: no script, no font, no request. */
export function reportHtml(report: Report): string {
  const { target, workload, summary } = report;
  const title = `Load test of ${target.model}`;
  const notes = [...workload.notes, ...summary.notes].map((note) => `<li>${escapeHtml(note)}</li>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${escapeHtml(workload.text)}</p>
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
<footer>TTFT: from the time a request was due to its first text. TPOT: (end − first text) ÷ (output tokens − 1). ITL: between frames with text. Made by cubit bench.</footer>
</main>
</body>
</html>
`;
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

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2330;--dim:#5d6675;--line:#d9dee6;--card:#f5f7fa;--paper:#fff;--c0:#2563c9;--c1:#d9622b;--c2:#2b8a57;--mark:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#9aa4b4;--line:#343b47;--card:#1d222b;--paper:#14181f;--c0:#6ea2ff;--c1:#ff9a68;--c2:#63cf95;--mark:#ff8a80}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}h1{font-size:26px;margin:0 0 6px}h2{font-size:18px;margin:30px 0 10px}
p{margin:4px 0;color:var(--dim)}.lead{color:var(--ink);font-size:16px}.notes{border-left:3px solid var(--c1);margin:14px 0;padding:2px 0 2px 28px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:10px;margin:20px 0}
.tile{background:var(--card);border-radius:8px;padding:12px 14px;display:flex;flex-direction:column}.tile span,.tile small{color:var(--dim);font-size:13px}.tile b{font-size:21px;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:8px 0}th,td{padding:5px 14px 5px 0;text-align:right;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}th{color:var(--dim);font-weight:500}
.plots{display:grid;margin-top:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));gap:14px}svg{width:100%;background:var(--card);border-radius:8px}
svg text{fill:var(--dim);font:11px system-ui,sans-serif}svg .title{fill:var(--ink);font-size:13px;font-weight:600}.grid{stroke:var(--line);stroke-width:.6}.axis{stroke:var(--dim);fill:none}
.line{fill:none;stroke-width:1.8}.line.s0{stroke:var(--c0)}.line.s1{stroke:var(--c1)}.line.s2{stroke:var(--c2)}.bar.s0{fill:var(--c0)}.mark{stroke:var(--mark);stroke-dasharray:4 3}svg .mark-name{fill:var(--mark)}
footer{margin-top:36px;color:var(--dim);font-size:13px}`;
