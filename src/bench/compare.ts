import { seededRandom } from '../workload/random.ts';
import type { Report, Sample } from './report.ts';
import { quantileOf } from './statistics.ts';

/**
 * Two runs against each other. A difference counts when the 95 % interval of its bootstrap does not hold 0. Requests near in
 * time share their fortune (a queue, a burst), so stretches of consecutive requests are drawn, not single ones; runs of
 * the same requests are drawn together, request by request (paired).
 */
export interface Difference {
  readonly metric: string;
  readonly a: number;
  readonly b: number;
  /** (b − a) ÷ a, and its 95 % interval. */
  readonly change: number;
  readonly changeLow: number;
  readonly changeHigh: number;
  readonly verdict: 'lower' | 'higher' | 'noise';
}

export interface Comparison {
  readonly paired: boolean;
  readonly differences: readonly Difference[];
  /** What makes the comparison weaker than it looks. */
  readonly notes: readonly string[];
}

const DRAWS = 400;
const STRETCHES = 25;
const SAMPLES_MIN = 20;
const METRICS = [
  ['TTFT', 'ttftMs'],
  ['TPOT', 'tpotMs'],
  ['E2E', 'e2eMs'],
] as const;
const STATISTICS = [
  ['mean', (sorted: Float64Array) => sorted.reduce((sum, value) => sum + value, 0) / sorted.length],
  ['p50', (sorted: Float64Array) => quantileOf(sorted, 0.5)],
  ['p95', (sorted: Float64Array) => quantileOf(sorted, 0.95)],
] as const;

/** Of the latencies of answers that came. The same reports give the same intervals. */
export function compareReports(a: Report, b: Report): Comparison {
  // The order of conversations' turns depends on the answers: nothing to pair by.
  const paired = a.workload.fingerprint === b.workload.fingerprint && a.workload.mode !== 'multi-turn';
  const differences = METRICS.flatMap(([name, field]) => {
    const [left, right] = paired
      ? pairs(a.samples, b.samples, field)
      : [valuesOf(a.samples, field), valuesOf(b.samples, field)];
    if (Math.min(left.length, right.length) < SAMPLES_MIN) return [];
    return bootstrap(name, left, right, paired);
  });
  return { paired, differences, notes: notesOf(a, b, differences.length) };
}

function bootstrap(name: string, left: Float64Array, right: Float64Array, paired: boolean): Difference[] {
  const random = seededRandom(1);
  const drawn = STATISTICS.map(() => new Float64Array(DRAWS));
  for (let draw = 0; draw < DRAWS; draw += 1) {
    const starts = startsOf(left.length, random);
    const a = resample(left, starts);
    const b = resample(right, paired ? starts : startsOf(right.length, random));
    for (const [index, [, statistic]] of STATISTICS.entries()) {
      (drawn[index] as Float64Array)[draw] = statistic(b) / statistic(a) - 1;
    }
  }
  const [sortedLeft, sortedRight] = [left.toSorted(), right.toSorted()];
  return STATISTICS.map(([statisticName, statistic], index) => {
    const changes = (drawn[index] as Float64Array).sort();
    const [a, b] = [statistic(sortedLeft), statistic(sortedRight)];
    const [changeLow, changeHigh] = [quantileOf(changes, 0.025), quantileOf(changes, 0.975)];
    const verdict = changeHigh < 0 ? 'lower' : changeLow > 0 ? 'higher' : 'noise';
    return { metric: `${name} ${statisticName}`, a, b, change: b / a - 1, changeLow, changeHigh, verdict };
  });
}

/** Where the stretches of one draw begin. */
function startsOf(length: number, random: () => number): number[] {
  return Array.from({ length: STRETCHES }, () => Math.floor(random() * length));
}

/** Stretches of equal length from the starts on, round the end; sorted. */
function resample(values: Float64Array, starts: readonly number[]): Float64Array {
  const width = Math.max(1, Math.round(values.length / STRETCHES));
  const drawn = new Float64Array(width * starts.length);
  let at = 0;
  for (const start of starts) {
    for (let offset = 0; offset < width; offset += 1) {
      drawn[at] = values[(start + offset) % values.length] as number;
      at += 1;
    }
  }
  return drawn.sort();
}

type Field = (typeof METRICS)[number][1];

function valuesOf(samples: readonly Sample[], field: Field): Float64Array {
  return Float64Array.from(samples.filter((sample) => sample.error === null).flatMap((sample) => sample[field] ?? []));
}

/** The requests that both runs answered. */
function pairs(a: readonly Sample[], b: readonly Sample[], field: Field): readonly [Float64Array, Float64Array] {
  const other = new Map(b.map((sample) => [sample.index, sample]));
  const both = a.flatMap((sample) => {
    const match = other.get(sample.index);
    const usable = sample.error === null && match !== undefined && match.error === null;
    const values = usable ? ([sample[field], match[field]] as const) : null;
    return values === null || values[0] === null || values[1] === null ? [] : [values as readonly [number, number]];
  });
  return [Float64Array.from(both.map(([value]) => value)), Float64Array.from(both.map(([, value]) => value))];
}

function notesOf(a: Report, b: Report, differences: number): string[] {
  const failed = (report: Report) => report.summary.counted - report.summary.ok;
  const notes: [happened: boolean, text: string][] = [
    [
      a.workload.fingerprint !== b.workload.fingerprint,
      'The runs sent different requests: the difference may be the workload’s.',
    ],
    [differences === 0, `Fewer than ${SAMPLES_MIN} answers to compare.`],
    [
      failed(a) !== failed(b),
      `Failed requests: ${failed(a)} of ${a.summary.counted} and ${failed(b)} of ${b.summary.counted}; only answers are compared.`,
    ],
    [a.endedBy !== 'plan' || b.endedBy !== 'plan', 'A run did not come to its end.'],
    [
      true,
      'One run each: what differs from run to run (other load on the machine, a warm cache) is not in the intervals.',
    ],
  ];
  return notes.flatMap(([happened, text]) => (happened ? [text] : []));
}
