import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import type { RateUse } from '../../core/serving/rate-limit.ts';
import type { Gateway, ServedModelStats } from '../../gateway/gateway.ts';
import type { GatewaySignals } from '../../scaler/merge.ts';
import { sumOf, usesOf, WireUses, wireOf } from './uses.ts';

const GATEWAYS_MAX = 1_000;
/** Whoever is silent for so long is forgotten. */
const REMEMBER_MS = 60_000;
/** Of a gateway that said nothing for so long, nobody knows what it runs. */
const FRESH_MS = 10_000;
const count = z.number().nonnegative();
const Report = z.object({
  gatewayId: z.string().min(1).max(100),
  servedModels: z
    .array(
      z.looseObject({
        servedModelId: z.string(),
        batchPerUnit: count,
        kvTokensPerUnit: count,
        kvTokensLikely: count,
        prefillStretch: count,
        queued: count,
        queuedUs: count,
        arrivals: count,
        arrivedUs: count,
        refused: count,
        completed: count,
        prefillUs: count,
        ttftMsSum: count,
        ttftCount: count,
        tpotMsSum: count,
        tpotCount: count,
        utilization: count,
        warningEpisode: z.int().nullable(),
        runningOn: z.array(z.tuple([z.string(), count])).transform((pairs) => new Map(pairs)),
        unfit: z
          .array(z.tuple([z.string(), z.string().max(100)]))
          .default([])
          .transform((pairs) => new Map(pairs)),
      }),
    )
    .max(100_000),
  limits: WireUses,
});

/** What `REPORT_PATH` takes. */
export function reportOf(
  gatewayId: string,
  servedModels: readonly ServedModelStats[],
  limits: ReadonlyMap<string, RateUse>,
): object {
  return {
    gatewayId,
    limits: wireOf(limits),
    servedModels: servedModels.map(({ runningOn, unfit, ...stats }) => ({
      ...stats,
      runningOn: [...runningOn],
      unfit: [...unfit],
    })),
  };
}

const OWN = 'own';

type ServedModelUse = Pick<ServedModelStats, 'servedModelId' | 'utilization' | 'warningEpisode'>;

/** What a gateway is told for its report: by served model, what the other gateways use of its capacity, as a share. */
export interface ReportAnswer {
  readonly elsewhere: Readonly<Record<string, number>>;
  /** What other gateways let in under limits. */
  readonly limits: WireUses;
}

interface Told extends GatewaySignals {
  readonly limits: WireUses;
  readonly servedModels: z.output<typeof Report>['servedModels'];
}

/** How full a served model is over all gateways. */
export interface UtilizationOverall {
  readonly servedModelId: string;
  readonly utilization: number;
  /** Episodes of too much of it that gateways see now, each by a name of its own. */
  readonly episodes: readonly string[];
}

/** What the control plane knows of its gateways: the one in this process, and those in others by their reports. */
export class Gateways {
  readonly #reports = new Map<string, Told>();
  readonly #own: Pick<Gateway, 'stats' | 'runningOn' | 'limitsUsed' | 'usedElsewhere'>;
  readonly #now: () => number;

  constructor(own: Pick<Gateway, 'stats' | 'runningOn' | 'limitsUsed' | 'usedElsewhere'>, now: () => number) {
    this.#own = own;
    this.#now = now;
  }

  /** Takes a report of another process. Throws `invalid_request`, `capacity_exhausted`. */
  report(body: unknown): ReportAnswer {
    const parsed = Report.safeParse(body);
    if (!parsed.success) {
      throw new CubitError('invalid_request', 'This is no report of a gateway.', { cause: parsed.error });
    }
    const { gatewayId, limits, servedModels } = parsed.data;
    const atMs = this.#now();
    for (const [id, report] of this.#reports) if (atMs - report.atMs > REMEMBER_MS) this.#reports.delete(id);
    if (!this.#reports.has(gatewayId) && this.#reports.size >= GATEWAYS_MAX) {
      throw new CubitError('capacity_exhausted', 'Too many gateways report already.');
    }
    this.#reports.set(gatewayId, { gatewayId, atMs, servedModels, limits });
    const all = new Map(this.utilizations().map(({ servedModelId, utilization }) => [servedModelId, utilization]));
    const elsewhere = servedModels.map(({ servedModelId, utilization }): [string, number] => [
      servedModelId,
      Math.max(0, (all.get(servedModelId) ?? 0) - utilization),
    ]);
    const others = this.#fresh().filter((told) => told.gatewayId !== gatewayId);
    const uses = [wireOf(this.#own.limitsUsed()), ...others.map((told) => told.limits)];
    return { elsewhere: Object.fromEntries(elsewhere), limits: sumOf(uses) };
  }

  /** Of every served model, over this gateway and those heard lately; tells this one what the others use. */
  utilizations(): readonly UtilizationOverall[] {
    const all = new Map<string, { servedModelId: string; utilization: number; episodes: string[] }>();
    const elsewhere = new Map<string, number>();
    const add = (gatewayId: string, { servedModelId: id, utilization, warningEpisode }: ServedModelUse) => {
      const one = all.get(id) ?? { servedModelId: id, utilization: 0, episodes: [] };
      all.set(id, one);
      one.utilization += utilization;
      if (warningEpisode !== null) one.episodes.push(`${gatewayId} ${warningEpisode}`);
    };
    for (const { gatewayId, servedModels } of this.#fresh()) {
      for (const model of servedModels) {
        add(gatewayId, model);
        elsewhere.set(model.servedModelId, (elsewhere.get(model.servedModelId) ?? 0) + model.utilization);
      }
    }
    const told = this.#fresh().map(({ limits }) => limits);
    this.#own.usedElsewhere(elsewhere, usesOf(sumOf(told)));
    for (const model of this.#own.stats().servedModels) add(OWN, model);
    return [...all.values()];
  }

  #fresh(): Told[] {
    return [...this.#reports.values()].filter(({ atMs }) => Math.abs(this.#now() - atMs) <= FRESH_MS);
  }

  /** What each said last, for scaling. */
  signals(): readonly GatewaySignals[] {
    const own = { gatewayId: OWN, atMs: this.#now(), servedModels: this.#own.stats().servedModels };
    return [own, ...this.#reports.values()];
  }

  /** Sequences on a replica over this gateway and those heard lately; null: none of them knows it. */
  runningOn(replicaId: string): number | null {
    const counts = [this.#own.runningOn(replicaId)];
    for (const { servedModels } of this.#fresh()) {
      for (const model of servedModels) counts.push(model.runningOn.get(replicaId) ?? null);
    }
    return counts.reduce((sum, count) => (count === null ? sum : (sum ?? 0) + count), null);
  }
}
