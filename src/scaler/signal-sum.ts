import { noSignals, type SignalTotals } from '../gateway/signals.ts';
import type { ServedSignals } from './observe.ts';

/** Of a gateway that said nothing for so long, what it held counts no more. */
const FRESH_MS = 10_000;
/** Totals of a gateway that is silent are remembered so long, in case that it was only cut off. */
const REMEMBER_MS = 600_000;

const TOTALS = Object.keys(noSignals()) as (keyof SignalTotals)[];

interface Source {
  atMs: number;
  models: ReadonlyMap<string, ServedSignals>;
}

/**
 * What several gateways know together, as if they were one. What they hold now is added over those that were heard lately;
 * totals only grow, whichever gateway comes, goes, or is started anew.
 */
export class SignalSum {
  readonly #sources = new Map<string, Source>();
  readonly #totals = new Map<string, SignalTotals>();

  /** Takes what a gateway says of itself. */
  take(gatewayId: string, models: readonly ServedSignals[], atMs: number): void {
    const before = this.#sources.get(gatewayId)?.models;
    for (const model of models) this.#add(model, before?.get(model.servedModelId));
    this.#sources.set(gatewayId, { atMs, models: new Map(models.map((model) => [model.servedModelId, model])) });
    for (const [id, source] of this.#sources) if (atMs - source.atMs > REMEMBER_MS) this.#sources.delete(id);
  }

  /** One line for each served model that a gateway heard lately names; `atMs` is when the latest was. */
  read(nowMs: number): { readonly atMs: number; readonly servedModels: readonly ServedSignals[] } {
    const fresh = this.#fresh(nowMs);
    const byModel = Map.groupBy(
      fresh.flatMap(({ models }) => [...models.values()]),
      ({ servedModelId }) => servedModelId,
    );
    for (const id of this.#totals.keys()) if (!this.#isKnown(id)) this.#totals.delete(id);
    return {
      atMs: Math.max(0, ...fresh.map(({ atMs }) => atMs)),
      servedModels: Array.from(byModel, ([id, models]) => together(models, this.#totals.get(id) ?? noSignals())),
    };
  }

  /** Sequences on a replica over all gateways heard lately but `except`; null: none of them knows it. */
  runningOn(replicaId: string, nowMs: number, except?: string): number | null {
    const counts = this.#fresh(nowMs, except).flatMap(({ models }) =>
      Array.from(models.values()).flatMap((model) => model.runningOn.get(replicaId) ?? []),
    );
    return counts.length === 0 ? null : counts.reduce((sum, count) => sum + count, 0);
  }

  /** How many gateways were heard lately, `except` aside. */
  count(nowMs: number, except?: string): number {
    return this.#fresh(nowMs, except).length;
  }

  #fresh(nowMs: number, except?: string): Source[] {
    return Array.from(this.#sources).flatMap(([id, source]) =>
      id !== except && Math.abs(nowMs - source.atMs) <= FRESH_MS ? source : [],
    );
  }

  #isKnown(servedModelId: string): boolean {
    return Array.from(this.#sources.values()).some(({ models }) => models.has(servedModelId));
  }

  #add(now: ServedSignals, before: ServedSignals | undefined): void {
    const sum = this.#totals.get(now.servedModelId) ?? noSignals();
    this.#totals.set(now.servedModelId, sum);
    // A total that fell belongs to a process that was started anew: it counts from zero.
    const anew = before === undefined || TOTALS.some((name) => now[name] < before[name]);
    for (const name of TOTALS) sum[name] += now[name] - (anew ? 0 : before[name]);
  }
}

function together(models: readonly ServedSignals[], totals: SignalTotals): ServedSignals {
  const [first] = models as [ServedSignals];
  const runningOn = new Map<string, number>();
  for (const model of models) {
    for (const [id, running] of model.runningOn) runningOn.set(id, (runningOn.get(id) ?? 0) + running);
  }
  const sum = (of: (model: ServedSignals) => number) => models.reduce((all, model) => all + of(model), 0);
  return {
    ...first,
    ...totals,
    kvTokens: sum(({ kvTokens }) => kvTokens),
    queued: sum(({ queued }) => queued),
    queuedUs: sum(({ queuedUs }) => queuedUs),
    runningOn,
  };
}
