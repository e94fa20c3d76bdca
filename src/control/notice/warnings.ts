import type { Kysely } from 'kysely';
import type { IdKind } from '../../core/ids.ts';
import { notify } from '../../store/notices.ts';
import type { Database } from '../../store/schema.ts';
import type { ControlLog } from '../call.ts';
import type { UtilizationOverall } from '../feed/gateways.ts';
import { createTurns, type Turns } from '../turns.ts';

export interface WarningDeps {
  readonly db: Kysely<Database>;
  readonly log: ControlLog;
  /** Epoch milliseconds. */
  now(): number;
  newId(kind: IdKind): string;
  /** What all gateways know of them. */
  servedModels(): readonly UtilizationOverall[];
  /** Of capacity, and for how long, as the gateway judges. */
  readonly percent: number;
  readonly afterMs: number;
}

const TICK_MS = 10_000;

/** Tells tenants whose endpoints are nearly full, once for each episode, however many gateways see it. */
export function startWarnings(deps: WarningDeps): Turns {
  const warnings = new Warnings(deps);
  return createTurns({
    work: () => warnings.turn(),
    gapMs: TICK_MS,
    tickMs: TICK_MS,
    failed: (error) => deps.log.error({ err: error }, 'tenants could not be warned; it is tried again in a second'),
  });
}

export class Warnings {
  readonly #deps: WarningDeps;
  /** The episodes that gateways see now and that were told, by served model. */
  readonly #told = new Map<string, readonly string[]>();

  constructor(deps: WarningDeps) {
    this.#deps = deps;
  }

  async turn(): Promise<void> {
    const models = this.#deps.servedModels();
    const present = new Set(models.map(({ servedModelId }) => servedModelId));
    for (const id of this.#told.keys()) if (!present.has(id)) this.#told.delete(id);
    for (const { servedModelId, utilization, episodes } of models) {
      const told = this.#told.get(servedModelId) ?? [];
      // What begins at one gateway while another's is going on is the same.
      const isNew = episodes.length > 0 && !episodes.some((episode) => told.includes(episode));
      if (isNew) await this.#tell(servedModelId, utilization);
      this.#told.set(servedModelId, episodes);
    }
  }

  /** Pools are the operator's: no tenant is told of them. */
  async #tell(servedModelId: string, utilization: number): Promise<void> {
    const { db, percent, afterMs, now } = this.#deps;
    const dueAtMs = now();
    await db.transaction().execute(async (trx) => {
      const of = await trx
        .selectFrom('served_models')
        .innerJoin('endpoints', 'endpoints.id', 'served_models.endpoint_id')
        .select(['endpoints.id', 'endpoints.tenant_id', 'endpoints.name', 'served_models.model_id'])
        .where('served_models.id', '=', servedModelId)
        .executeTakeFirst();
      if (of === undefined) return;
      const nowPercent = Math.round(utilization * 100);
      const detail = { endpointName: of.name, modelId: of.model_id, servedModelId, percent, nowPercent };
      await notify(trx, this.#deps, {
        tenantId: of.tenant_id,
        kind: 'utilization_high',
        subject: of.id,
        dueAtMs,
        detail: { ...detail, seconds: Math.round(afterMs / 1000) },
      });
    });
  }
}
