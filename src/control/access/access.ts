import { type AccessEvent, type AccessState, accessAfter, type Feature, mayBuy } from '../../core/commerce/access.ts';
import { CubitError } from '../../core/errors.ts';
import { notify } from '../../store/notices.ts';
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
      ? `Access to ${feature} was revoked (${row?.note}): what runs stays, nothing is ordered, enlarged or renewed.`
      : `Access to ${feature} is by application.`;
  throw new CubitError('access_required', `${why} Apply to the operator: cubit access apply --reason "…".`, {
    details: { feature, state, apply: { method: 'POST', path: '/api/v1/access/applications', body: { feature } } },
  });
}

/** Grants or revokes, and tells the tenant. Throws `invalid_transition` when it is so already. */
export async function moveAccess(
  trx: Trx,
  ctx: Ctx,
  move: {
    readonly event: AccessEvent;
    readonly tenantId: string;
    readonly feature: Feature;
    readonly note: string | null;
    /** What the notice is about, where it is not the access itself. */
    readonly subject?: string;
  },
): Promise<Row<'accesses'>> {
  const { tenantId, feature, note } = move;
  const state = accessAfter(stateOf(await decidedAccess(trx, tenantId, feature)), move.event);
  const set = { state, note, updated_at_ms: ctx.now() };
  const row = await trx
    .insertInto('accesses')
    .values({ id: ctx.newId('access'), tenant_id: tenantId, feature, ...set })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'feature']).doUpdateSet(set))
    .returningAll()
    .executeTakeFirstOrThrow();
  await notify(trx, ctx, {
    tenantId,
    kind: 'access_decided',
    subject: move.subject ?? row.id,
    dueAtMs: ctx.now(),
    detail: { decision: state, about: feature, note },
  });
  return row;
}
