import type { Prediction } from './predict.ts';
import { total } from './refit.ts';
import { quantile } from './statistics.ts';

const ROW_PX = 20;
const LEFT_PX = 330;
const PANEL_PX = 300;
const GAP_PX = 30;
const TOP_PX = 46;
const MAX_PCT = 60;

/** Errors per model and GPU as an SVG: median (dot) and 25th to 75th percentile (bar) of TPOT and of TTFT. */
export function plotErrors(predictions: readonly Prediction[]): string {
  const groups = new Map<string, Prediction[]>();
  for (const each of predictions) {
    if (each.mode !== 'agg') continue;
    const key = `${each.row.modelPath.split('/').at(-1)} · ${each.row.system} · ${each.row.backend}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  const names = [...groups.keys()].sort();
  const height = TOP_PX + names.length * ROW_PX + 20;
  const width = LEFT_PX + 2 * PANEL_PX + 2 * GAP_PX;
  const rows = names.flatMap((name, index) => {
    const y = TOP_PX + (index + 0.5) * ROW_PX;
    const members = groups.get(name)!;
    return [
      `<text x="${LEFT_PX - 8}" y="${y + 4}" text-anchor="end">${escaped(name)} (${members.length})</text>`,
      ...(['tpot', 'ttft'] as const).map((kind, panel) => bar(errorsPct(members, kind), panelX(panel), y)),
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...['TPOT', 'TTFT'].map((title, panel) => axis(`${title}: absolute error, %`, panelX(panel), height)),
    ...rows,
    '</svg>',
    '',
  ].join('\n');
}

function panelX(panel: number): number {
  return LEFT_PX + panel * (PANEL_PX + GAP_PX);
}

function axis(title: string, x: number, height: number): string {
  const ticks = [0, 10, 20, 30, 40, 50, 60].map((pct) => {
    const at = x + (pct / MAX_PCT) * PANEL_PX;
    const line = `<line x1="${at}" x2="${at}" y1="${TOP_PX}" y2="${height - 20}" stroke="#ddd"/>`;
    return `${line}<text x="${at}" y="${TOP_PX - 6}" text-anchor="middle" fill="#555">${pct}</text>`;
  });
  return `<text x="${x}" y="16" font-weight="bold">${title}</text>${ticks.join('')}`;
}

function bar(pcts: readonly number[], x: number, y: number): string {
  const at = (q: number) => (x + (Math.min(quantile(pcts, q)!, MAX_PCT) / MAX_PCT) * PANEL_PX).toFixed(1);
  const line = `<line x1="${at(0.25)}" x2="${at(0.75)}" y1="${y}" y2="${y}" stroke="#4c78a8" stroke-width="5" stroke-opacity="0.5"/>`;
  return `${line}<circle cx="${at(0.5)}" cy="${y}" r="4" fill="#1f4e79"/>`;
}

function errorsPct(predictions: readonly Prediction[], kind: 'tpot' | 'ttft'): number[] {
  return predictions.map((each) => Math.abs(total(each, kind) / (each.row[`${kind}Ms`] * 1000) - 1) * 100);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
