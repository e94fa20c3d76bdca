import type { MetricObjectWithValues, MetricValue } from 'prom-client';

const TTFT_BUCKETS_S = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const TPOT_BUCKETS_S = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const WAIT_BUCKETS_S = [0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Times of one kind by Prometheus's buckets: one addition when a request ends; prom-client's own hashes labels then. */
export class Timings {
  readonly bucketsS: readonly number[];
  readonly #counts: Float64Array;
  #sumS = 0;

  constructor(bucketsS: readonly number[]) {
    this.bucketsS = bucketsS;
    this.#counts = new Float64Array(bucketsS.length + 1);
  }

  observe(ms: number): void {
    const seconds = ms / 1_000;
    let bucket = 0;
    while (bucket < this.bucketsS.length && seconds > (this.bucketsS[bucket] as number)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#sumS += seconds;
  }

  /** As Prometheus reads a histogram: cumulative counts, their sum, how many. Nothing before the first. */
  values(name: string, labels: Readonly<Record<string, string>>): TimingValue[] {
    let count = 0;
    const buckets = [...this.bucketsS, '+Inf'].map((le, i) => {
      count += this.#counts[i] as number;
      return { metricName: `${name}_bucket`, value: count, labels: { ...labels, le } };
    });
    if (count === 0) return [];
    const sum = { metricName: `${name}_sum`, value: this.#sumS, labels };
    return [...buckets, sum, { metricName: `${name}_count`, value: count, labels }];
  }
}

type TimingValue = MetricValue<string> & { metricName: string };

/** A metric as the registry takes it, whose values are read when it is scraped. */
export function timingMetric(name: string, help: string, read: (name: string) => TimingValue[]) {
  const get = async () =>
    ({ name, help, type: 'histogram', values: read(name), aggregator: 'sum' }) as unknown as MetricObjectWithValues<
      MetricValue<string>
    >;
  return { name, help, get, reset: () => {} };
}

/** Of one served model. */
export function newTimings() {
  return { ttft: new Timings(TTFT_BUCKETS_S), tpot: new Timings(TPOT_BUCKETS_S), wait: new Timings(WAIT_BUCKETS_S) };
}
