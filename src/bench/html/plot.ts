/** Line and bar plots as inline SVG. Colours come from the page's style: classes `s0`, `s1`, … */
export interface Series {
  readonly name: string;
  /** The line goes on over a null. */
  readonly points: readonly (readonly [x: number, y: number | null])[];
}

export interface Bar {
  readonly from: number;
  readonly until: number;
  readonly height: number;
}

export interface Axes {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Logarithmic x; values have to be above 0. */
  readonly xLog?: boolean;
  /** The top of the y axis; by default what the data needs. */
  readonly yMax?: number;
  /** Vertical lines, such as a target. */
  readonly marks?: readonly { readonly x: number; readonly name: string }[];
}

const WIDTH = 560;
const HEIGHT = 270;
const LEFT = 58;
const RIGHT = 16;
const TOP = 34;
const BOTTOM = 46;

export function linePlot(axes: Axes, series: readonly Series[]): string {
  const xs = series.flatMap((line) => line.points.map(([x]) => x));
  const ys = series.flatMap((line) => line.points.flatMap(([, y]) => y ?? []));
  if (ys.length === 0) return nothing(axes.title);
  const frame = frameOf(axes, xs, ys);
  const lines = series.map((line, index) => `<path class="line s${index}" d="${pathOf(line, frame)}"/>`);
  const legend = series.length < 2 ? '' : legendOf(series.map((line) => line.name));
  return svg(axes, frame, lines.join('') + legend);
}

export function barPlot(axes: Axes, bars: readonly Bar[]): string {
  if (bars.length === 0) return nothing(axes.title);
  const frame = frameOf(
    axes,
    bars.flatMap((bar) => [bar.from, bar.until]),
    bars.map((bar) => bar.height),
  );
  const drawn = bars.map((bar) => {
    const [left, right, top] = [frame.x(bar.from), frame.x(bar.until), frame.y(bar.height)];
    const width = Math.max(0.5, right - left - 0.5);
    return `<rect class="bar s0" x="${round(left)}" y="${round(top)}" width="${round(width)}" height="${round(frame.y(0) - top)}"/>`;
  });
  return svg(axes, frame, drawn.join(''));
}

interface Frame {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly xTicks: readonly number[];
  readonly yTicks: readonly number[];
}

function frameOf(axes: Axes, xs: readonly number[], ys: readonly number[]): Frame {
  const marks = (axes.marks ?? []).map((mark) => mark.x);
  const [xMin, xMax] = boundsOf([...xs, ...marks]);
  const yTop = axes.yMax ?? Math.max(1e-9, boundsOf(ys)[1]) * 1.05;
  const along = (share: number) => LEFT + share * (WIDTH - LEFT - RIGHT);
  const scale = axes.xLog ? Math.log10 : (value: number) => value;
  const [low, high] = [scale(xMin), scale(xMax)];
  return {
    x: (value) => along(high === low ? 0.5 : (scale(value) - low) / (high - low)),
    y: (value) => HEIGHT - BOTTOM - (Math.min(value, yTop) / yTop) * (HEIGHT - TOP - BOTTOM),
    xTicks: axes.xLog ? logTicks(xMin, xMax) : ticks(xMin, xMax, 7),
    yTicks: ticks(0, yTop, 5),
  };
}

function boundsOf(values: readonly number[]): readonly [number, number] {
  return values.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
}

/** Round numbers (1, 2, 5 × 10ⁿ apart) within the bounds. */
function ticks(low: number, high: number, about: number): number[] {
  const raw = (high - low) / about;
  if (!(raw > 0)) return [low];
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * magnitude >= raw) as number) * magnitude;
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, index) => (first + index) * step);
}

/** 1, 2, 5 of every power of ten; only powers where that would be too many, equal steps where it would be too few. */
function logTicks(low: number, high: number): number[] {
  const powers = Array.from(
    { length: Math.ceil(Math.log10(high / low)) + 2 },
    (_, index) => 10 ** (Math.floor(Math.log10(low)) + index),
  );
  const factors = high / low > 1e4 ? [1] : [1, 2, 5];
  const found = powers
    .flatMap((power) => factors.map((factor) => factor * power))
    .filter((value) => value >= low * 0.999 && value <= high * 1.001);
  return found.length >= 3 ? found : ticks(low, high, 6);
}

function pathOf(line: Series, frame: Frame): string {
  const known = line.points.flatMap(([x, y]) => (y === null ? [] : [`${round(frame.x(x))} ${round(frame.y(y))}`]));
  return `M${known.join('L')}`;
}

function svg(axes: Axes, frame: Frame, body: string): string {
  const [bottom, right] = [HEIGHT - BOTTOM, WIDTH - RIGHT];
  const xTicks = frame.xTicks.map(
    (value) =>
      `<path class="grid" d="M${round(frame.x(value))} ${TOP}V${bottom}"/><text x="${round(frame.x(value))}" y="${bottom + 16}" text-anchor="middle">${tickText(value)}</text>`,
  );
  const yTicks = frame.yTicks.map(
    (value) =>
      `<path class="grid" d="M${LEFT} ${round(frame.y(value))}H${right}"/><text x="${LEFT - 6}" y="${round(frame.y(value) + 4)}" text-anchor="end">${tickText(value)}</text>`,
  );
  const marks = (axes.marks ?? []).map(
    ({ x, name }) =>
      `<path class="mark" d="M${round(frame.x(x))} ${TOP}V${bottom}"/><text class="mark-name" x="${round(frame.x(x) + 4)}" y="${bottom - 6}">${escapeHtml(name)}</text>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(axes.title)}">${[
    `<text class="title" x="${LEFT}" y="16">${escapeHtml(axes.title)}</text>`,
    ...xTicks,
    ...yTicks,
    `<path class="axis" d="M${LEFT} ${TOP}V${bottom}H${right}"/>`,
    ...marks,
    body,
    `<text x="${(LEFT + right) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escapeHtml(axes.xLabel)}</text>`,
    `<text transform="translate(13 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(axes.yLabel)}</text>`,
  ].join('')}</svg>`;
}

function legendOf(names: readonly string[]): string {
  let x = WIDTH - RIGHT;
  return names
    .toReversed()
    .map((name, reversed) => {
      const index = names.length - 1 - reversed;
      x -= name.length * 6.2 + 26;
      return `<path class="line s${index}" d="M${round(x)} 12h14"/><text x="${round(x + 18)}" y="16">${escapeHtml(name)}</text>`;
    })
    .join('');
}

const nothing = (title: string) => `<p class="nothing">${escapeHtml(title)}: nothing to show.</p>`;

function tickText(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 10_000) return `${Number((value / 1000).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

const round = (value: number) => Math.round(value * 10) / 10;

/** Text from a server or a command line as HTML. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
