import { z } from 'zod';
import type { Db } from '../internal.ts';
import { Count, EpochMs, Id, Money, money } from '../schemas.ts';
import { replicasById } from '../units.ts';
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
    .describe('Per million tokens; requests pay what holds at the beginning of their clock hour'),
  rpm: Rpm.describe('Requests a minute of a tenant without limits of its own'),
  tpm: Tpm.describe('Tokens a minute of a tenant without limits of its own'),
  templateId: z.string().nullable().describe('This and the next: only the operator sees them'),
  units: Count.nullable(),
  unitsReady: Count.nullable(),
  failure: z.string().nullable().describe('Why a unit does not start'),
  createdAtMs: EpochMs,
});

export async function poolView(
  ctx: Pick<Ctx, 'actor' | 'catalog' | 'now' | 'fleet'>,
  db: Db,
  pool: Pool,
): Promise<z.output<typeof PoolView>> {
  const replicas = replicasById(ctx.fleet.list());
  const isOperator = ctx.actor.kind === 'operator';
  const { currency } = ctx.catalog.priceBook;
  const price = await tokenPriceOf(db, pool.model_id, ctx.now());
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
