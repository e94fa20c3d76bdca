import { type Charge, type Share, splitCharges } from '../../core/commerce/chargeback.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import { type Cost, chargedCosts, unbilledCosts } from './costs.ts';
import { readSupply, type Span, type Supply } from './supply.ts';

const DAY_MS = 86_400_000;
/** A day of 25 hours, and the 90 minutes of the longest clock hour. */
const SPAN_MS_MAX = 27 * 3_600_000;

export interface TenantSplit {
  readonly costMicros: bigint;
  /** By key. */
  readonly shares: ReadonlyMap<string, Share>;
  readonly unallocatedMicros: bigint;
}

export interface SplitOf {
  readonly tenant: Row<'tenants'>;
  /** null: of all endpoints. */
  readonly endpointId: string | null;
  readonly span: Span;
  /** With what is not billed yet at the span's end, which has to be now. */
  readonly withUnbilled: boolean;
}

/**
 * What a tenant was charged for times that ended in (fromMs, toMs], split over its keys by their work. A day at a time,
 * so that no more than a day's charges and work are in memory; read from sums of quarter hours, not from receipts.
 */
export async function splitCosts(db: Db, of: SplitOf): Promise<TenantSplit> {
  const { tenant, endpointId, span, withUnbilled } = of;
  const supply = await readSupply(db, tenant.id, endpointId, { ...span, fromMs: span.fromMs - SPAN_MS_MAX });
  const shares = new Map<string, Share>();
  let [costMicros, unallocatedMicros] = [0n, 0n];
  const take = async (costs: readonly Cost[]) => {
    const own = costs.filter(({ servedModelId }) => supply.endpoints.has(servedModelId));
    const split = splitCharges(await chargesOf(db, own, supply));
    costMicros += own.reduce((sum, cost) => sum + cost.costMicros, 0n);
    unallocatedMicros += split.unallocatedMicros;
    for (const [key, { usedMicros, idleMicros }] of split.shares) {
      const before = shares.get(key) ?? { usedMicros: 0n, idleMicros: 0n };
      shares.set(key, {
        usedMicros: before.usedMicros + usedMicros,
        idleMicros: before.idleMicros + idleMicros,
      });
    }
  };
  for (let atMs = span.fromMs; atMs < span.toMs; atMs += DAY_MS) {
    await take(await chargedCosts(db, tenant, { fromMs: atMs, toMs: Math.min(atMs + DAY_MS, span.toMs) }));
  }
  if (withUnbilled) await take(await unbilledCosts(db, tenant, span.fromMs, span.toMs));
  return { costMicros, shares, unallocatedMicros };
}

/** The costs with the work of their times. Costs of one served model and time are one charge. */
async function chargesOf(db: Db, costs: readonly Cost[], supply: Supply): Promise<Charge[]> {
  if (costs.length === 0) return [];
  const fromMs = Math.min(...costs.map((cost) => cost.fromMs));
  const toMs = Math.max(...costs.map((cost) => cost.toMs));
  const rows = await db
    .selectFrom('usage_quarters')
    .select(['served_model_id', 'from_ms', 'key_id', 'prefill_us', 'decode_us'])
    .where('served_model_id', 'in', [...new Set(costs.map((cost) => cost.servedModelId))])
    .where('from_ms', '>=', fromMs)
    .where('from_ms', '<', toMs)
    .execute();
  const quarters = Map.groupBy(rows, (row) => row.served_model_id);
  const together = Map.groupBy(costs, (cost) => `${cost.servedModelId} ${cost.fromMs} ${cost.toMs} ${cost.forTime}`);
  return Array.from(together.values(), (same) => {
    const { servedModelId, forTime, ...span } = same[0]!;
    const work = new Map<string, bigint>();
    for (const row of forTime ? (quarters.get(servedModelId) ?? []) : []) {
      if (row.from_ms < span.fromMs || row.from_ms >= span.toMs) continue;
      work.set(row.key_id, (work.get(row.key_id) ?? 0n) + BigInt(row.prefill_us) + BigInt(row.decode_us));
    }
    const costMicros = same.reduce((sum, cost) => sum + cost.costMicros, 0n);
    return { costMicros, supplyUs: supply.suppliedUs(servedModelId, span), work };
  });
}
