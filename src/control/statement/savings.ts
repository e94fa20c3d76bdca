import { setImmediate as nextTick } from 'node:timers/promises';
import { sql } from 'kysely';
import { isPaid, type PaidTokens, plusTokens, tokensCostMicros } from '../../core/commerce/token-billing.ts';
import { OUTCOMES } from '../../core/serving/outcome.ts';
import type { Db } from '../internal.ts';
import { tokenPriceOf } from '../pool/price.ts';
import type { GroupSum } from './groups.ts';

export interface Saving extends PaidTokens {
  readonly endpointId: string;
  readonly requests: number;
  readonly unitsMicros: bigint;
  /** null: one of its models has no token price. */
  readonly tokensMicros: bigint | null;
}

/** Receipts are read a slice at a time, so that requests get their turn. */
const SLICE_MS = 3_600_000;

interface Used extends PaidTokens {
  readonly modelId: string;
  readonly requests: number;
}

/**
 * For each endpoint with units: what they cost, and what its answered requests of that time would have cost by the
 * token, at the prices that hold at `pricedAtMs`.
 */
export async function savingsOf(
  db: Db,
  tenantId: string,
  groups: readonly GroupSum[],
  span: { readonly fromMs: number; readonly toMs: number; readonly pricedAtMs: number },
): Promise<Saving[]> {
  const unitsMicros = await costByEndpoint(db, groups);
  if (unitsMicros.size === 0) return [];
  const used = await usedBy(db, tenantId, span);
  const savings: Saving[] = [];
  for (const [endpointId, cost] of [...unitsMicros].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const models = [...(used.get(endpointId)?.values() ?? [])];
    const total = models.reduce(plusTokens, { inputTokens: 0, cachedTokens: 0, outputTokens: 0 });
    const requests = models.reduce((sum, model) => sum + model.requests, 0);
    const tokensMicros = await priced(db, models, span.pricedAtMs);
    savings.push({ endpointId, requests, ...total, unitsMicros: cost, tokensMicros });
  }
  return savings;
}

async function costByEndpoint(db: Db, groups: readonly GroupSum[]): Promise<Map<string, bigint>> {
  if (groups.length === 0) return new Map();
  const ids = groups.map((group) => group.groupId);
  const rows = await db.selectFrom('instance_groups').select(['id', 'endpoint_id']).where('id', 'in', ids).execute();
  const endpointOf = new Map(rows.map((row) => [row.id, row.endpoint_id]));
  const costs = new Map<string, bigint>();
  for (const { groupId, costMicros } of groups) {
    const endpointId = endpointOf.get(groupId);
    if (endpointId !== undefined) costs.set(endpointId, (costs.get(endpointId) ?? 0n) + costMicros);
  }
  return costs;
}

/** By endpoint and model: what was answered by units. */
async function usedBy(db: Db, tenantId: string, span: { readonly fromMs: number; readonly toMs: number }) {
  const used = new Map<string, Map<string, Used>>();
  let atMs = await firstReceiptMs(db, tenantId, span);
  while (atMs !== null) {
    const sliceToMs = Math.min(atMs + SLICE_MS, span.toMs);
    for (const row of await usedIn(db, tenantId, { fromMs: atMs, toMs: sliceToMs })) {
      const models = used.get(row.endpointId) ?? new Map<string, Used>();
      const before = models.get(row.modelId);
      const requests = row.requests + (before?.requests ?? 0);
      models.set(row.modelId, { ...row, ...(before === undefined ? {} : plusTokens(before, row)), requests });
      used.set(row.endpointId, models);
    }
    await nextTick();
    atMs = await firstReceiptMs(db, tenantId, { fromMs: sliceToMs, toMs: span.toMs });
  }
  return used;
}

async function firstReceiptMs(db: Db, tenantId: string, span: { readonly fromMs: number; readonly toMs: number }) {
  const first = await db
    .selectFrom('receipts')
    .select((eb) => eb.fn.min<number | null>('received_at_ms').as('at_ms'))
    .where('tenant_id', '=', tenantId)
    .where('received_at_ms', '>=', span.fromMs)
    .where('received_at_ms', '<', span.toMs)
    .executeTakeFirst();
  return first?.at_ms ?? null;
}

function usedIn(db: Db, tenantId: string, slice: { readonly fromMs: number; readonly toMs: number }) {
  const sum = (expression: string) => sql<number>`cast(sum(${sql.raw(expression)}) as bigint)`;
  return db
    .selectFrom('receipts')
    .innerJoin('served_models', 'served_models.id', 'receipts.served_model_id')
    .where('receipts.tenant_id', '=', tenantId)
    .where('received_at_ms', '>=', slice.fromMs)
    .where('received_at_ms', '<', slice.toMs)
    .where('outcome', 'in', OUTCOMES.filter(isPaid))
    .select(['served_models.endpoint_id as endpointId', 'model_id as modelId'])
    .select((eb) => [
      eb.fn.countAll<number>().as('requests'),
      sum('prompt_tokens - cached_tokens').as('inputTokens'),
      sum('cached_tokens').as('cachedTokens'),
      sum('output_tokens').as('outputTokens'),
    ])
    .groupBy(['served_models.endpoint_id', 'model_id'])
    .execute();
}

async function priced(db: Db, models: readonly Used[], atMs: number): Promise<bigint | null> {
  const terms = [];
  for (const model of models) {
    const price = await tokenPriceOf(db, model.modelId, atMs);
    if (price === null) return null;
    terms.push({ ...model, price });
  }
  return tokensCostMicros(terms);
}
