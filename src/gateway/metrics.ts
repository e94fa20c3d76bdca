import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { OUTCOMES } from '../core/serving/outcome.ts';
import type { Exchange } from './exchange.ts';
import type { ServedModel } from './served.ts';

/** What `/metrics` shows of the gateway. Totals and levels are read when they are asked for, not on the token path. */
export interface Metrics {
  ended(exchange: Exchange): void;
  /** A served model is gone, with its endpoint or not: its series go too, or they would grow without end. */
  forget(servedModelId: string, endpoint: string, endpointGone: boolean): void;
}

const SERVED = ['endpoint', 'served_model'] as const;
const TTFT_BUCKETS_S = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const TPOT_BUCKETS_S = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
const WAIT_BUCKETS_S = [0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** `endpointOf` names the endpoint of a served model. */
export function createMetrics(
  registry: Registry,
  served: ReadonlyMap<string, ServedModel>,
  endpointOf: (servedModelId: string) => string,
  monotonicMs: () => number,
): Metrics {
  const registers = [registry];
  const requests = new Counter({
    name: 'cubit_requests_total',
    help: 'Requests ended, by outcome.',
    labelNames: ['endpoint', 'outcome'],
    registers,
  });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, labelNames: SERVED, buckets, registers });
  const ttft = histogram('cubit_ttft_seconds', 'Sent to the engine until the first token, streams.', TTFT_BUCKETS_S);
  const tpot = histogram('cubit_tpot_seconds', 'Per output token after the first, streams.', TPOT_BUCKETS_S);
  const wait = histogram('cubit_wait_seconds', 'Waited in line before it was let in.', WAIT_BUCKETS_S);

  const read = (name: string, help: string, value: (model: ServedModel) => number, counter = false) => {
    const Kind = counter ? Counter : Gauge;
    new Kind({
      name,
      help,
      labelNames: SERVED,
      registers,
      collect() {
        this.reset();
        for (const [id, model] of served) this.inc({ endpoint: endpointOf(id), served_model: id }, value(model));
      },
    });
  };
  const view = (model: ServedModel) => model.admission.view(monotonicMs());
  read('cubit_work_reserved_us_total', 'Work reserved, unit-microseconds.', (m) => view(m).reservedUs, true);
  read('cubit_work_settled_us_total', 'Work that requests took, unit-microseconds.', (m) => view(m).settledUs, true);
  read(
    'cubit_work_returned_us_total',
    'Work reserved and not taken, unit-microseconds.',
    (m) => view(m).returnedUs,
    true,
  );
  read('cubit_bucket_level_us', 'Work let in that the units have not had time for.', (m) => view(m).levelUs);
  read('cubit_bucket_capacity_us', 'Level up to which requests are let in.', (m) => view(m).capacityUs);
  read('cubit_units_ready', 'Units ready to serve.', (m) => view(m).readyUnits);
  read('cubit_running', 'Sequences let in and not ended.', (m) => view(m).running);
  read('cubit_queue_requests', 'Requests waiting in line.', (m) => m.queue.size);
  read('cubit_queue_work_us', 'Work waiting in line.', (m) => m.queue.workUs);

  return {
    ended(exchange) {
      // `none` too for what ends after its served model has gone.
      const endpoint =
        exchange.served === null
          ? (exchange.endpoint?.endpointId ?? 'none')
          : endpointOf(exchange.served.snapshot.servedModelId);
      requests.inc({ endpoint, outcome: exchange.outcome });
      if (exchange.served === null || exchange.reservation === null) return;
      if (endpoint === 'none') return;
      const labels = { endpoint, served_model: exchange.served.snapshot.servedModelId };
      wait.observe(labels, exchange.waitMs / 1_000);
      const { ttftMs, tpotMs } = exchange;
      if (ttftMs !== null) ttft.observe(labels, ttftMs / 1_000);
      if (tpotMs !== null) tpot.observe(labels, tpotMs / 1_000);
    },
    forget(servedModelId, endpoint, endpointGone) {
      for (const one of [ttft, tpot, wait]) one.remove({ endpoint, served_model: servedModelId });
      if (endpointGone) for (const outcome of OUTCOMES) requests.remove({ endpoint, outcome });
    },
  };
}
