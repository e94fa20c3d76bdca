import { CubitError } from '../core/errors.ts';
import { arrivalsAlong, type Stretch } from './arrivals.ts';
import { childSeed, gamma, type Random, seededRandom, Weighted, weibull } from './random.ts';
import { badLine, type Trace, type TraceRequest, traceOf } from './trace.ts';

/**
 * ServeGen's client decomposition: every client has a table of windows (`ts, rate, cv, distribution, shape, scale`, ts and
 * rate in seconds) and, for longer windows, the distributions of its lengths. A workload is the sum of its clients.
 */
export interface ServeGenClient {
  readonly windows: readonly ServeGenWindow[];
  /** In order of time; each holds from `fromS` on. */
  readonly lengths: readonly { readonly fromS: number; readonly prompt: Weighted; readonly output: Weighted }[];
}

interface ServeGenWindow {
  readonly fromS: number;
  readonly ratePerS: number;
  readonly distribution: 'Gamma' | 'Weibull' | '';
  readonly shape: number;
}

const COLUMNS = 'ts,rate,cv,distribution,shape,scale with distribution Gamma or Weibull';
const LAST_WINDOW_S = 600;

/** One client from its two files. Throws `invalid_request` naming the line or the window that cannot be read. */
export function parseServeGenClient(traceCsv: string, datasetJson: string): ServeGenClient {
  const windows = traceCsv.split(/\r?\n/).flatMap((line, index) => (line === '' ? [] : [parseWindow(line, index + 1)]));
  for (const [index, window] of windows.entries()) {
    if (index > 0 && window.fromS <= (windows[index - 1] as ServeGenWindow).fromS) {
      throw new CubitError('invalid_request', `line ${index + 1}: the windows are not in order of time.`);
    }
  }
  const lengths = parseLengths(datasetJson);
  if (lengths.length === 0 && windows.some((window) => window.ratePerS > 0)) {
    throw new CubitError('invalid_request', 'A client has arrivals and no distribution of lengths.');
  }
  return { windows, lengths };
}

function parseWindow(line: string, number: number): ServeGenWindow {
  const [ts = '', rate = '', , distribution = '', shape = ''] = line.split(',');
  const window = { fromS: Number(ts), ratePerS: Number(rate), shape: Number(shape) };
  const known =
    distribution === 'Gamma' || distribution === 'Weibull' || (distribution === '' && window.ratePerS === 0);
  const shaped = window.ratePerS === 0 || window.shape > 0;
  if (ts === '' || !Number.isFinite(window.fromS) || !(window.ratePerS >= 0) || !known || !shaped) {
    throw badLine(number, COLUMNS, line);
  }
  return { ...window, distribution };
}

function parseLengths(datasetJson: string): ServeGenClient['lengths'] {
  const table = parseJson(datasetJson) as Record<string, { input_tokens?: unknown; output_tokens?: unknown }>;
  return Object.entries(table)
    .map(([ts, row]) => ({
      fromS: Number(ts),
      prompt: density(row.input_tokens, ts),
      output: density(row.output_tokens, ts),
    }))
    .flatMap(({ fromS, prompt, output }) => (prompt === null || output === null ? [] : [{ fromS, prompt, output }]))
    .sort((a, b) => a.fromS - b.fromS);
}

/** `{45: 0.0097, 46: 0.0117}`: a Python dict as text. null when it is empty. */
function density(value: unknown, ts: string): Weighted | null {
  const text = typeof value === 'string' ? value.trim() : JSON.stringify(value ?? '');
  if (text === '{}') return null;
  const entries = [...text.matchAll(/"?([\d.]+)"?\s*:\s*([\d.eE+-]+)/g)].map(
    ([, length, share]) => [Math.max(1, Math.round(Number(length))), Number(share)] as const,
  );
  if (entries.length > 0 && entries.every(([length, share]) => Number.isFinite(length) && share >= 0)) {
    return new Weighted(entries);
  }
  throw new CubitError(
    'invalid_request',
    `The lengths of window ${ts} are not {tokens: share, …}: ${text.slice(0, 60)}`,
  );
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Said below, in the words of the format.
  }
  throw new CubitError('invalid_request', 'A client’s dataset is not a JSON object of windows.');
}

export interface ServeGenOptions {
  readonly fromS: number;
  readonly untilS: number;
  /** All rates times this. */
  readonly rateScale: number;
  readonly seed: number;
}

/**
 * Draws requests of all clients in [fromS, untilS). Rate and shape come from the windows; the scale follows from the rate,
 * so that every window gets its recorded number on average. A window whose lengths are missing takes the nearest of the same
 * client. Throws `invalid_request` when nothing arrives.
 */
export function generateServeGen(clients: readonly ServeGenClient[], options: ServeGenOptions): Trace {
  const rows = [...streamServeGen(clients, options)];
  if (rows.length === 0) {
    throw new CubitError(
      'invalid_request',
      `No client sends anything from ${options.fromS} s until ${options.untilS} s.`,
    );
  }
  return traceOf(rows);
}

/** The same requests one by one, in order of time, times as recorded: memory does not grow with their number. */
export function* streamServeGen(clients: readonly ServeGenClient[], options: ServeGenOptions): Generator<TraceRequest> {
  const heads = clients.flatMap((client, index) => {
    const rows = generateClient(client, options, childSeed(options.seed, index));
    const first = rows.next();
    return first.done === true ? [] : [{ rows, row: first.value }];
  });
  heads.sort((a, b) => a.row.atMs - b.row.atMs);
  for (let head = heads[0]; head !== undefined; head = heads[0]) {
    yield head.row;
    const next = head.rows.next();
    if (next.done === true) heads.shift();
    else head.row = next.value;
    // Few clients, and the next row of one is mostly soon: moving it along the list is cheaper than a heap.
    for (let place = 0; place + 1 < heads.length && heads[place]!.row.atMs > heads[place + 1]!.row.atMs; place += 1) {
      [heads[place], heads[place + 1]] = [heads[place + 1]!, heads[place]!];
    }
  }
}

function* generateClient(client: ServeGenClient, options: ServeGenOptions, seed: number): Generator<TraceRequest> {
  const random = seededRandom(seed);
  const lengthsRandom = seededRandom(childSeed(seed, 0));
  const stretches: Stretch[] = [];
  for (const [index, window] of client.windows.entries()) {
    const endS = client.windows[index + 1]?.fromS ?? window.fromS + LAST_WINDOW_S;
    const fromMs = Math.max(window.fromS, options.fromS) * 1000;
    const untilMs = Math.min(endS, options.untilS) * 1000;
    if (untilMs <= fromMs || window.ratePerS === 0) continue;
    stretches.push({ fromMs, untilMs, ratePerS: window.ratePerS * options.rateScale, gap: gapOf(window, random) });
  }
  for (const atMs of arrivalsAlong(stretches)) {
    const { output, prompt } = lengthsAt(client, atMs / 1000);
    yield { atMs, promptTokens: prompt.draw(lengthsRandom), outputTokens: output.draw(lengthsRandom) };
  }
}

function gapOf({ distribution, shape }: ServeGenWindow, random: Random): () => number {
  return distribution === 'Weibull' ? () => weibull(shape, random) : () => gamma(shape, random);
}

function lengthsAt(client: ServeGenClient, atS: number): ServeGenClient['lengths'][number] {
  const first = client.lengths[0] as ServeGenClient['lengths'][number];
  return client.lengths.findLast((row) => row.fromS <= atS) ?? first;
}
