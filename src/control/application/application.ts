import { sql } from 'kysely';
import { type ApplicationEvent, applicationAfter } from '../../core/commerce/application.ts';
import { CubitError } from '../../core/errors.ts';
import { actorName, audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, notFound } from '../internal.ts';
import type { Ctx, Trx } from '../verb.ts';

type Wanted = Pick<Row<'applications'>, 'tenant_id' | 'kind' | 'about' | 'units' | 'reason'>;

/** Throws `conflict` when the tenant has one pending for the same; of two at once one is written. */
export async function apply(trx: Trx, ctx: Ctx, wanted: Wanted): Promise<Row<'applications'>> {
  const row: Row<'applications'> = {
    ...wanted,
    id: ctx.newId('application'),
    granted_units: null,
    state: 'pending',
    note: null,
    created_at_ms: ctx.now(),
    decided_at_ms: null,
    decided_by: null,
  };
  const inserted = await trx
    .insertInto('applications')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'kind', 'about']).where('state', '=', sql.lit('pending')).doNothing(),
    )
    .returning('id')
    .executeTakeFirst();
  if (inserted === undefined) throw await alreadyPending(trx, wanted);
  const { kind, about, units, reason } = row;
  await audit(trx, ctx, {
    verb: `${kind}.apply`,
    subject: row.id,
    tenantId: row.tenant_id,
    detail: { about, units, reason },
  });
  return row;
}

async function alreadyPending(trx: Trx, wanted: Wanted): Promise<CubitError> {
  const id = (await pendingApplication(trx, wanted))?.id ?? '';
  return new CubitError(
    'conflict',
    `An application for the ${wanted.kind} of ${wanted.about} is pending already: ${id}. Wait for it, or withdraw it first (cubit application withdraw ${id}).`,
    { details: { applicationId: id } },
  );
}

export function pendingApplication(
  db: Db,
  { tenant_id, kind, about }: Pick<Wanted, 'tenant_id' | 'kind' | 'about'>,
): Promise<Row<'applications'> | undefined> {
  return db
    .selectFrom('applications')
    .selectAll()
    .where('tenant_id', '=', tenant_id)
    .where('kind', '=', kind)
    .where('about', '=', about)
    .where('state', '=', 'pending')
    .executeTakeFirst();
}

export async function requireApplication(db: Db, scope: string | null, id: string): Promise<Row<'applications'>> {
  let query = db.selectFrom('applications').selectAll().where('id', '=', id);
  if (scope !== null) query = query.where('tenant_id', '=', scope);
  const row = await query.executeTakeFirst();
  if (row === undefined) throw notFound('application', id);
  return row;
}

/** Decides it once. Throws `invalid_transition` when it was before, `conflict` when somebody did at the same moment. */
export async function decide(
  trx: Trx,
  ctx: Ctx,
  before: Row<'applications'>,
  decision: { readonly event: ApplicationEvent; readonly note?: string | undefined; readonly grantedUnits?: number },
): Promise<Row<'applications'>> {
  const { event, note, grantedUnits } = decision;
  const decided = await trx
    .updateTable('applications')
    .set({
      state: applicationAfter(before.state, event),
      note: note ?? null,
      granted_units: grantedUnits ?? null,
      decided_at_ms: ctx.now(),
      decided_by: actorName(ctx.actor),
    })
    .where('id', '=', before.id)
    .where('state', '=', before.state)
    .returningAll()
    .executeTakeFirst();
  if (decided === undefined) {
    throw new CubitError('conflict', `The application ${before.id} was decided at the same moment. Look at it again.`);
  }
  const { kind, about } = decided;
  await audit(trx, ctx, {
    verb: `application.${event}`,
    subject: decided.id,
    tenantId: decided.tenant_id,
    detail: { kind, about, note, grantedUnits },
  });
  return decided;
}
