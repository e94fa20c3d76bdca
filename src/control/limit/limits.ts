import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, notFound } from '../internal.ts';
import { poolOf } from '../pool/pools.ts';
import { Rpm, Tpm } from '../pool/schemas.ts';
import { EpochMs, Id } from '../schemas.ts';
import type { Trx } from '../verb.ts';

/** Requests and tokens a minute of a tenant on a model that it pays by the token. */
export const Limit = z.object({
  tenantId: Id,
  modelId: z.string(),
  rpm: Rpm,
  tpm: Tpm,
  own: z.boolean().describe('false: what every tenant has who has none of its own'),
});

export const LIMIT_REQUEST_STATES = ['open', 'approved', 'refused'] as const;

export const LimitRequest = z.object({
  requestId: Id,
  tenantId: Id,
  modelId: z.string(),
  rpm: Rpm,
  tpm: Tpm,
  reason: z.string(),
  state: z.enum(LIMIT_REQUEST_STATES),
  note: z.string().nullable().describe('The operator’s, to the tenant'),
  createdAtMs: EpochMs,
  decidedAtMs: EpochMs.nullable(),
});

export function limitRequestView(row: Row<'limit_requests'>): z.output<typeof LimitRequest> {
  return {
    requestId: row.id,
    tenantId: row.tenant_id,
    modelId: row.model_id,
    rpm: row.requests_per_minute,
    tpm: row.tokens_per_minute,
    reason: row.reason,
    state: row.state,
    note: row.note,
    createdAtMs: row.created_at_ms,
    decidedAtMs: row.decided_at_ms,
  };
}

/** Throws `not_found` for a model that is not offered by the token. */
export async function requirePooled(db: Db, modelId: string) {
  const pool = await poolOf(db, modelId);
  if (pool === undefined) throw notFound('pool of model', modelId);
  return pool;
}

/** What holds from now on: a tenant's own limits, or what all have who have none. */
export async function setLimit(
  trx: Trx,
  limit: { readonly tenantId: string; readonly modelId: string; readonly rpm: number; readonly tpm: number },
  atMs: number,
): Promise<void> {
  const values = { requests_per_minute: limit.rpm, tokens_per_minute: limit.tpm, set_at_ms: atMs };
  await trx
    .insertInto('token_limits')
    .values({ tenant_id: limit.tenantId, model_id: limit.modelId, ...values })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'model_id']).doUpdateSet(values))
    .execute();
}

/** Decides a request that is open. Throws `not_found`, and `conflict` when it was decided before. */
export async function decide(
  trx: Trx,
  requestId: string,
  decision: Pick<Row<'limit_requests'>, 'state' | 'note' | 'decided_at_ms'>,
): Promise<Row<'limit_requests'>> {
  const decided = await trx
    .updateTable('limit_requests')
    .set(decision)
    .where('id', '=', requestId)
    .where('state', '=', 'open')
    .returningAll()
    .executeTakeFirst();
  if (decided !== undefined) return decided;
  const row = await trx.selectFrom('limit_requests').select('state').where('id', '=', requestId).executeTakeFirst();
  if (row === undefined) throw notFound('request for limits', requestId);
  throw new CubitError('conflict', `The request is ${row.state} already.`, { details: { state: row.state } });
}
