/** Small charts as SVG text: points, rings and lines over linear axes; and signed bars. No script, no outside file. */
export interface Series {
  readonly name: string;
  readonly mark: 'dot' | 'ring' | 'line';
  /** Which of the page's colours, from 1. */
  readonly colour: number;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface ChartOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
}

const WIDTH = 560;
const HEIGHT = 300;
const LEFT = 62;
const RIGHT = 24;
const TOP = 16;
const BOTTOM = 44;
const TICKS = 5;

export function chart({ series, title, xLabel, yLabel }: ChartOptions): string {
  const points = series.flatMap((one) => one.points);
  const xTicks = ticksTo(Math.max(...points.map(([x]) => x), 0));
  const yTicks = ticksTo(Math.max(...points.map(([, y]) => y), 0));
  const x = (value: number) => LEFT + (value / xTicks.at(-1)!) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - (value / yTicks.at(-1)!) * (HEIGHT - TOP - BOTTOM);
  const grid = [
    ...yTicks.map(
      (tick) =>
        `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(tick))}" y2="${at(y(tick))}"/>` +
        `<text x="${LEFT - 8}" y="${at(y(tick) + 4)}" text-anchor="end">${label(tick)}</text>`,
    ),
    ...xTicks.map(
      (tick) => `<text x="${at(x(tick))}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${label(tick)}</text>`,
    ),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escaped(xLabel)}</text>`,
    `<text x="14" y="${(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(TOP + HEIGHT - BOTTOM) / 2})">${escaped(yLabel)}</text>`,
  ];
  const marks = series.map((one) => drawn(one, x, y));
  return figure(title, legend(series), svg(HEIGHT, title, [...grid, ...marks]));
}

function drawn({ colour, mark, name, points }: Series, x: (v: number) => number, y: (v: number) => number): string {
  if (mark === 'line') {
    const path = points.map(([px, py]) => `${at(x(px))},${at(y(py))}`).join(' ');
    return `<polyline class="line c${colour}" points="${path}"/>`;
  }
  return points
    .map(([px, py]) => {
      const tip = `<title>${escaped(name)}: ${label(px)}, ${label(py)}</title>`;
      return `<circle class="${mark} c${colour}" cx="${at(x(px))}" cy="${at(y(py))}" r="${mark === 'dot' ? 4 : 6}">${tip}</circle>`;
    })
    .join('');
}

const ROW = 22;
const NAMES = 262;

/** Percentages as bars to the left and right of 0, one a row. */
export function barChart(title: string, rows: readonly { readonly name: string; readonly percent: number }[]): string {
  const limit = ticksTo(Math.max(5, ...rows.map(({ percent }) => Math.abs(percent)))).at(-1)!;
  const zero = NAMES + (WIDTH - NAMES - RIGHT) / 2;
  const scale = (WIDTH - NAMES - RIGHT) / 2 / limit;
  const height = rows.length * ROW + BOTTOM;
  const bars = rows.map(({ name, percent }, index) => {
    const top = TOP + index * ROW;
    const width = Math.abs(percent) * scale;
    const left = percent < 0 ? zero - width : zero;
    return (
      `<text x="${NAMES - 10}" y="${top + 13}" text-anchor="end">${escaped(name)}</text>` +
      `<rect class="bar c${percent < 0 ? 2 : 1}" x="${at(left)}" y="${top + 2}" width="${at(Math.max(1, width))}" height="14"><title>${percent.toFixed(1)} %</title></rect>`
    );
  });
  const axis = [-limit, 0, limit].map(
    (tick) =>
      `<line class="grid" x1="${at(zero + tick * scale)}" x2="${at(zero + tick * scale)}" y1="${TOP - 4}" y2="${height - 24}"/>` +
      `<text x="${at(zero + tick * scale)}" y="${height - 8}" text-anchor="${tick > 0 ? 'end' : tick < 0 ? 'start' : 'middle'}">${label(tick)} %</text>`,
  );
  return figure(title, '', svg(height, title, [...axis, ...bars]));
}

function svg(height: number, title: string, parts: readonly string[]): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">${parts.join('')}</svg>`;
}

function figure(title: string, key: string, body: string): string {
  return `<figure><figcaption>${escaped(title)}</figcaption>${key}${body}</figure>`;
}

function legend(series: readonly Series[]): string {
  const items = series.map(({ colour, mark, name }) => `<li class="${mark} c${colour}">${escaped(name)}</li>`);
  return `<ul>${items.join('')}</ul>`;
}

/** Round steps of 1, 2 or 5 from 0 to just over the largest value. */
function ticksTo(largest: number): number[] {
  const raw = (largest > 0 ? largest : 1) / TICKS;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw)! * power;
  const ticks: number[] = [];
  for (let index = 0; index === 0 || ticks.at(-1)! < largest; index += 1) ticks.push(index * step);
  return ticks;
}

const at = (value: number) => value.toFixed(1);
const label = (value: number) => Number(value.toPrecision(4)).toLocaleString('en');

export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
