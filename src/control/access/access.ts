import { type AccessState, type Feature, mayBuy } from '../../core/commerce/access.ts';
import { CubitError } from '../../core/errors.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import type { Ctx, Trx } from '../verb.ts';

/** The row of what was decided last; undefined while nothing was. */
export function decidedAccess(db: Db, tenantId: string, feature: Feature): Promise<Row<'accesses'> | undefined> {
  return db
    .selectFrom('accesses')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('feature', '=', feature)
    .executeTakeFirst();
}

export function stateOf(row: Row<'accesses'> | undefined): AccessState {
  return row?.state ?? 'undecided';
}

/** Whoever buys units, more units or more months needs it. Throws `access_required` with how to apply. */
export async function requireAccess(
  trx: Trx,
  ctx: Pick<Ctx, 'policy'>,
  tenantId: string,
  feature: Feature = 'model_units',
): Promise<void> {
  const row = await decidedAccess(trx, tenantId, feature);
  const state = stateOf(row);
  if (mayBuy(ctx.policy.access, state)) return;
  const why =
    state === 'revoked'
      ? `The access of this tenant to ${feature} was revoked${row?.note ? ` (${row.note})` : ''}: what runs stays, nothing is ordered or renewed.`
      : `Access to ${feature} is by application.`;
  throw new CubitError(
    'access_required',
    `${why} Apply: cubit access apply --reason "…" (POST /api/v1/access-requests).`,
    {
      details: { feature, state, request: { method: 'POST', path: '/api/v1/access-requests', body: { feature } } },
    },
  );
}
