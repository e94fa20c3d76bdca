import type { Profile } from '../catalog/schema.ts';
import { cellId } from './cells.ts';
import { barChart, chart, escaped, type Series } from './chart.ts';
import { profileTable } from './table.ts';

/** A profile as one page: what was measured against what the step model makes of it. Needs nothing but itself. */
export function profileHtml(profile: Profile): string {
  const { fit, measuredAt, on, templateId } = profile;
  const charts = [
    ttftChart(profile),
    batchChart(profile),
    contextChart(profile),
    residuals(profile),
    tiersChart(profile),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Profile of ${escaped(templateId)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(templateId)}</h1>
<p>${escaped(on)}, ${escaped(measuredAt.slice(0, 10))}. ${fit.observations} observations; the step model is off by ${fit.medianErrorPct} % (median)${
    fit.crossValidatedMedianErrorPct === null
      ? ''
      : `, by ${fit.crossValidatedMedianErrorPct} % where a measurement was left out and predicted`
  }.</p>
<div class="charts">${charts.join('\n')}</div>
<details><summary>All figures</summary><pre>${escaped(profileTable(profile))}</pre></details>
</body>
</html>
`;
}

type Cells = Profile['cells'];

function ttftChart({ cells, prefillFixedUs, prefillTokensMax, step }: Profile): string {
  const first = cells.flatMap(({ cell, ttftMs }) =>
    cell.kind === 'first' && ttftMs !== null ? [{ cell, ttftMs }] : [],
  );
  const longest = Math.max(0, ...first.map(({ cell }) => cell.promptTokens));
  const line = Array.from({ length: 41 }, (_, index): [number, number] => {
    const n = Math.max(1, Math.round((longest * index) / 40));
    const chunks = Math.ceil(n / prefillTokensMax);
    const us = prefillFixedUs + chunks * step.tau0Us + step.tau1Us * n + (step.tau2Us * n * (n + 1)) / 2;
    return [n, us / 1000];
  });
  const point = ({ cell, ttftMs }: (typeof first)[number]): [number, number] => [cell.promptTokens, ttftMs];
  return chart({
    title: 'Time to the first token, alone',
    xLabel: 'prompt tokens',
    yLabel: 'ms',
    series: [
      { name: 'fitted, cold', mark: 'line', colour: 1, points: line },
      {
        name: 'measured, cold',
        mark: 'dot',
        colour: 1,
        points: first.filter(({ cell }) => cell.cachedTokens === 0).map(point),
      },
      {
        name: 'measured behind a cached prefix',
        mark: 'dot',
        colour: 2,
        points: first.filter(({ cell }) => cell.cachedTokens > 0).map(point),
      },
    ],
  });
}

interface Decode {
  readonly batch: number;
  readonly contextTokens: number;
  readonly itlMs: number;
  readonly fittedMs: number;
}

function decodes(cells: Cells): Decode[] {
  return cells.flatMap(({ cell, fittedItlMs, itlMs }) => {
    if (itlMs === null || fittedItlMs === null) return [];
    const at = cell.kind === 'first' ? { batch: 1, contextTokens: cell.promptTokens } : cell;
    return [{ batch: at.batch, contextTokens: at.contextTokens, itlMs, fittedMs: fittedItlMs }];
  });
}

function pairs(name: string, colour: number, all: readonly Decode[], x: (decode: Decode) => number): Series[] {
  return [
    { name: `${name}measured`, mark: 'dot', colour, points: all.map((one) => [x(one), one.itlMs]) },
    { name: `${name}fitted`, mark: 'ring', colour, points: all.map((one) => [x(one), one.fittedMs]) },
  ];
}

function batchChart({ cells }: Profile): string {
  return chart({
    title: 'Time between tokens over the batch',
    xLabel: 'sequences that decode together',
    yLabel: 'ms',
    series: pairs('', 1, decodes(cells), ({ batch }) => batch),
  });
}

function contextChart({ cells }: Profile): string {
  return chart({
    title: 'Time between tokens over the context',
    xLabel: 'context tokens that a step reads, all sequences',
    yLabel: 'ms',
    series: pairs('', 2, decodes(cells), ({ batch, contextTokens }) => batch * contextTokens),
  });
}

function residuals({ cells }: Profile): string {
  const rows = cells.flatMap(({ cell, fittedItlMs, fittedTtftMs, itlMs, ttftMs }) => [
    ...(ttftMs !== null && fittedTtftMs !== null
      ? [{ name: `TTFT: ${cellId(cell)}`, percent: (100 * (fittedTtftMs - ttftMs)) / ttftMs }]
      : []),
    ...(itlMs !== null && fittedItlMs !== null
      ? [{ name: `next token: ${cellId(cell)}`, percent: (100 * (fittedItlMs - itlMs)) / itlMs }]
      : []),
  ]);
  return barChart('Fitted against measured', rows);
}

function tiersChart({ tiers }: Profile): string {
  const points = (of: (tier: Profile['tiers'][number]) => number | undefined): [number, number][] =>
    tiers.flatMap((tier) => {
      const y = of(tier);
      return y === undefined ? [] : [[tier.coefficient, y] as [number, number]];
    });
  return chart({
    title: 'TPOT of the tiers',
    xLabel: 'elasticity coefficient',
    yLabel: 'ms',
    series: [
      { name: 'p50', mark: 'dot', colour: 1, points: points(({ tpotMs }) => tpotMs?.p50) },
      { name: 'p95', mark: 'dot', colour: 2, points: points(({ tpotMs }) => tpotMs?.p95) },
    ],
  });
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2733; --soft: #5c6b7a; --grid: #dde3e9; --c1: #1264a3; --c2: #c2571a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9fb0c0; --grid: #33414f; --c1: #6db3f2; --c2: #f0a35e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1240px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
p { color: var(--soft); margin: .3rem 0 1.2rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 1.5rem 2rem; }
figure { margin: 0; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; }
svg text { font-size: 12px; fill: var(--soft); }
.grid { stroke: var(--grid); }
.c1 { --colour: var(--c1); } .c2 { --colour: var(--c2); }
.dot, .bar { fill: var(--colour); }
.ring { fill: none; stroke: var(--colour); stroke-width: 1.5; }
.line { fill: none; stroke: var(--colour); stroke-width: 1.5; opacity: .7; }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1rem; padding: 0; margin: 0; font-size: 13px; color: var(--soft); }
li::before { content: ''; display: inline-block; width: .6em; height: .6em; margin-right: .4em; border-radius: 50%; border: 1.5px solid var(--colour); }
li.dot::before { background: var(--colour); }
li.line::before { border-radius: 0; height: 0; border-bottom-width: 0; vertical-align: middle; width: 1.2em; }
pre { overflow-x: auto; font-size: 13px; }
`;
