import { z } from 'zod';
import { clockHourOf } from '../../core/commerce/term.ts';
import type { ReplicaStatus } from '../../fleet/port.ts';
import { Count, EpochMs, Id, Money, money } from '../schemas.ts';
import type { Ctx } from '../verb.ts';
import { type Pool, poolSpecs, readyPoolUnits } from './pools.ts';
import { tokenPriceOf } from './price.ts';

export const Rpm = z.int().min(1).max(1_000_000).describe('Requests a minute');
export const Tpm = z.int().min(1).max(10_000_000_000).describe('Tokens a minute, prompt and output');

export const PoolView = z.object({
  poolId: Id,
  modelId: z.string(),
  price: z
    .object({ input: Money, cachedInput: Money, output: Money, version: z.string() })
    .nullable()
    .describe('Per million tokens; null: the price book has none, and nothing is served'),
  rpm: Rpm.describe('Requests a minute of a tenant without limits of its own'),
  tpm: Tpm.describe('Tokens a minute of a tenant without limits of its own'),
  templateId: z.string().nullable().describe('This and the next: only the operator sees them'),
  units: Count.nullable(),
  unitsReady: Count.nullable(),
  failure: z.string().nullable().describe('Why a unit does not start'),
  createdAtMs: EpochMs,
});

export function poolView(
  ctx: Pick<Ctx, 'actor' | 'catalog' | 'now'>,
  pool: Pool,
  replicas: ReadonlyMap<string, ReplicaStatus>,
): z.output<typeof PoolView> {
  const isOperator = ctx.actor.kind === 'operator';
  const { currency } = ctx.catalog.priceBook;
  const price = tokenPriceOf(ctx.catalog, pool.model_id, clockHourOf(ctx.now(), 'UTC').fromMs);
  const failures = poolSpecs(pool).flatMap((spec) => replicas.get(spec.replicaId)?.failure ?? []);
  return {
    poolId: pool.id,
    modelId: pool.model_id,
    price: price && {
      input: money(price.inputMicros, currency),
      cachedInput: money(price.cachedMicros, currency),
      output: money(price.outputMicros, currency),
      version: price.version,
    },
    rpm: pool.requests_per_minute,
    tpm: pool.tokens_per_minute,
    templateId: isOperator ? pool.template_id : null,
    units: isOperator ? pool.units : null,
    unitsReady: isOperator ? readyPoolUnits(pool, replicas) : null,
    failure: isOperator ? (failures[0] ?? null) : null,
    createdAtMs: pool.created_at_ms,
  };
}
