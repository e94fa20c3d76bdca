import { Counter, Gauge, type Metric, type Registry } from 'prom-client';
import type { Outcome } from '../core/serving/outcome.ts';
import type { Exchange } from './exchange.ts';
import { SPILL_REASONS } from './overflow-snapshot.ts';
import type { ServedModel } from './served.ts';
import { type Timings, timingMetric } from './timings.ts';

/** What `/metrics` shows of the gateway. Totals and levels are read when they are asked for, not on the token path. */
export interface Metrics {
  ended(exchange: Exchange): void;
  /** An endpoint is gone: its series go too, or they would grow without end. */
  forget(endpointId: string): void;
}

const SERVED = ['endpoint', 'served_model'] as const;

/** `endpointOf` names the endpoint of a served model. */
export function createMetrics(
  registry: Registry,
  served: ReadonlyMap<string, ServedModel>,
  endpointOf: (servedModelId: string) => string,
  monotonicMs: () => number,
): Metrics {
  const registers = [registry];
  const requests = new Map<string, Map<Outcome, number>>();
  new Counter({
    name: 'cubit_requests_total',
    help: 'Requests ended, by outcome.',
    labelNames: ['endpoint', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const [endpoint, counts] of requests) {
        for (const [outcome, count] of counts) this.inc({ endpoint, outcome }, count);
      }
    },
  });
  const spills = new Counter({
    name: 'cubit_requests_spilled_total',
    help: 'Requests that another place served, by the endpoint they overflowed from and why.',
    labelNames: ['endpoint', 'reason'],
    registers,
  });
  const times = (name: string, help: string, timings: (model: ServedModel) => Timings) => {
    const metric = timingMetric(name, help, () =>
      [...served].flatMap(([id, model]) => timings(model).values(name, { endpoint: endpointOf(id), served_model: id })),
    );
    registry.registerMetric(metric as unknown as Metric);
  };
  times('cubit_ttft_seconds', 'Sent to the engine until the first token, streams.', ({ timings }) => timings.ttft);
  times('cubit_tpot_seconds', 'Per output token after the first, streams.', ({ timings }) => timings.tpot);
  times('cubit_wait_seconds', 'Waited in line before it was let in.', ({ timings }) => timings.wait);

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

  read('cubit_replicas_unfit', 'Replicas kept out, or tried, for how their requests ended.', (m) => m.fitness.bad);
  read('cubit_replica_ejections_total', 'Times that a replica was found unfit.', (m) => m.fitness.ejections, true);
  read('cubit_sent_again_total', 'Retries and hedges.', ({ fitness }) => fitness.retries.taken, true);
  read('cubit_hedges_total', 'Requests sent to a second replica at once.', ({ fitness }) => fitness.hedges, true);
  read(
    'cubit_retries_refused_total',
    'Retries and hedges that the budget had no room for.',
    ({ fitness }) => fitness.retries.refused,
    true,
  );

  return {
    ended({ served: model, endpoint, outcome, reservation, spill, waitMs, ttftMs, tpotMs }) {
      if (spill !== null) spills.inc({ endpoint: spill.fromEndpointId, reason: spill.reason });
      // `none` too for what ends after its served model has gone.
      const name = model === null ? (endpoint?.endpointId ?? 'none') : endpointOf(model.snapshot.servedModelId);
      const counts = requests.get(name) ?? new Map<Outcome, number>();
      if (counts.size === 0) requests.set(name, counts);
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      if (model === null || reservation === null) return;
      model.timings.wait.observe(waitMs);
      if (ttftMs !== null) model.timings.ttft.observe(ttftMs);
      if (tpotMs !== null) model.timings.tpot.observe(tpotMs);
    },
    forget(endpoint) {
      requests.delete(endpoint);
      for (const reason of SPILL_REASONS) spills.remove({ endpoint, reason });
    },
  };
}
