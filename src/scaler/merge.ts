import type { ServedSignals } from './observe.ts';

/** What one gateway told, and when by the scaler's clock. */
export interface GatewaySignals {
  readonly gatewayId: string;
  readonly atMs: number;
  readonly servedModels: readonly ServedSignals[];
}

/** Older ones say nothing any more. */
export const SIGNAL_AGE_MS_MAX = 15_000;
/** A gateway that was heard within so long is thought to serve still. */
const KNOWN_MS = 60_000;
/** Share of gateways that have to be heard for anything to be decided. */
const HEARD_MIN = 0.5;

const TOTALS = [
  'arrivals',
  'arrivedUs',
  'refused',
  'completed',
  'prefillUs',
  'ttftMsSum',
  'ttftCount',
  'tpotMsSum',
  'tpotCount',
] as const satisfies readonly (keyof ServedSignals)[];

type Totals = { -readonly [K in (typeof TOTALS)[number]]: number };

/**
 * The signals of several gateways as those of one. What is there now (queues, running requests) is the sum over gateways
 * that were heard in the last 15 s; totals grow by what each gateway's grew, so that one that comes, goes or begins anew
 * makes no jump. null: too few of the gateways that served a minute ago are heard, so nothing may be decided.
 */
export class SignalMerger {
  readonly #heard = new Map<string, number>();
  /** By gateway, then served model. */
  readonly #last = new Map<string, Map<string, Totals>>();
  #sums = new Map<string, Totals>();

  merge(reports: readonly GatewaySignals[], nowMs: number): ReadonlyMap<string, ServedSignals> | null {
    // Signals of a clock that is not ours are as good as old ones.
    const fresh = reports.filter(({ atMs }) => Math.abs(nowMs - atMs) <= SIGNAL_AGE_MS_MAX);
    for (const { gatewayId } of fresh) this.#heard.set(gatewayId, nowMs);
    for (const [gatewayId, atMs] of this.#heard) {
      if (nowMs - atMs <= KNOWN_MS) continue;
      this.#heard.delete(gatewayId);
      this.#last.delete(gatewayId);
    }
    if (fresh.length === 0 || fresh.length < HEARD_MIN * this.#heard.size) return null;
    const merged = new Map<string, ServedSignals>();
    /** By replica: gateways that keep it out. */
    const keptOut = new Map<string, number>();
    for (const report of fresh) {
      for (const model of report.servedModels) {
        this.#grow(report.gatewayId, model);
        for (const id of model.unfit.keys()) keptOut.set(id, (keptOut.get(id) ?? 0) + 1);
        const before = merged.get(model.servedModelId);
        merged.set(model.servedModelId, before === undefined ? model : together(before, model));
      }
    }
    const sums = new Map<string, Totals>();
    for (const [servedModelId, model] of merged) {
      const totals = this.#sums.get(servedModelId)!;
      sums.set(servedModelId, totals);
      merged.set(servedModelId, { ...model, ...totals, unfit: unfitFor(model, keptOut, fresh.length) });
    }
    this.#sums = sums;
    return merged;
  }

  #grow(gatewayId: string, model: ServedSignals): void {
    const of = this.#last.get(gatewayId) ?? new Map<string, Totals>();
    this.#last.set(gatewayId, of);
    const before = of.get(model.servedModelId);
    const sums = this.#sums.get(model.servedModelId) ?? totalsOf(() => 0);
    this.#sums.set(model.servedModelId, sums);
    const anew = before !== undefined && model.arrivals < before.arrivals;
    if (before !== undefined) {
      for (const name of TOTALS) sums[name] += Math.max(0, model[name] - (anew ? 0 : before[name]));
    }
    of.set(
      model.servedModelId,
      totalsOf((name) => model[name]),
    );
  }
}

function totalsOf(of: (name: (typeof TOTALS)[number]) => number): Totals {
  return Object.fromEntries(TOTALS.map((name) => [name, of(name)])) as Totals;
}

/** Half of the gateways have to say so: one may be idle, and one may have trouble of its own. */
function unfitFor({ unfit }: ServedSignals, keptOut: ReadonlyMap<string, number>, gateways: number) {
  if (unfit.size === 0) return unfit;
  return new Map([...unfit].filter(([replicaId]) => keptOut.get(replicaId)! * 2 >= gateways));
}

function together(a: ServedSignals, b: ServedSignals): ServedSignals {
  const runningOn = new Map(a.runningOn);
  for (const [replicaId, running] of b.runningOn) runningOn.set(replicaId, (runningOn.get(replicaId) ?? 0) + running);
  return {
    ...a,
    kvTokensLikely: a.kvTokensLikely + b.kvTokensLikely,
    queued: a.queued + b.queued,
    queuedUs: a.queuedUs + b.queuedUs,
    runningOn,
    unfit: b.unfit.size === 0 ? a.unfit : new Map([...a.unfit, ...b.unfit]),
  };
}
