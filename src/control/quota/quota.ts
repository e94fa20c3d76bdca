import { fitsQuota, type Holding, quotaLimit, quotaUse } from '../../core/commerce/quota.ts';
import { CubitError } from '../../core/errors.ts';
import { notify } from '../../store/notices.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, LIVE_GROUP_STATES } from '../internal.ts';
import type { Ctx, Trx } from '../verb.ts';
import type { QuotaView } from './schemas.ts';

export interface Quotas {
  /** Templates that the tenant has a number of its own for, or holds units of. */
  readonly templateIds: readonly string[];
  of(templateId: string): QuotaView;
}

/** What a tenant may hold of each template and what it holds. */
export async function quotasOf(db: Db, ctx: Pick<Ctx, 'catalog' | 'policy'>, tenantId: string): Promise<Quotas> {
  const rows = await db.selectFrom('quotas').selectAll().where('tenant_id', '=', tenantId).execute();
  const groups = await db
    .selectFrom('instance_groups')
    .leftJoin('elastic_rules', 'elastic_rules.group_id', 'instance_groups.id')
    .select(['template_id', 'units', 'max_units'])
    .where('instance_groups.tenant_id', '=', tenantId)
    .where('state', 'in', LIVE_GROUP_STATES)
    .execute();
  return {
    templateIds: [...rows, ...groups].map((row) => row.template_id),
    of(templateId) {
      const { limitUnits, source } = quotaLimit({
        tenant: rows.find((row) => row.template_id === templateId)?.units ?? null,
        template: ctx.catalog.templates.get(templateId)?.quotaUnits ?? null,
        platform: ctx.policy.quotaUnits,
      });
      const holdings = groups.filter((group) => group.template_id === templateId).map(holdingOf);
      return { templateId, source, ...quotaUse(limitUnits, holdings) };
    },
  };
}

/** Groups of a fixed size promise no more than they have; an elastic rule promises its maximum. */
function holdingOf({ units, max_units }: { readonly units: number; readonly max_units: number | null }): Holding {
  return { units, headroomUnits: Math.max(0, (max_units ?? 0) - units) };
}

/**
 * Called before the units are written. Of two orders at once that do not fit together one is refused: on PostgreSQL the
 * later transaction is taken back and sees the units of the other. Throws `quota_exceeded` with how to ask for more.
 */
export async function checkQuota(
  trx: Trx,
  ctx: Pick<Ctx, 'catalog' | 'policy'>,
  order: { readonly tenantId: string; readonly templateId: string; readonly unitsAdded: number },
): Promise<void> {
  const { templateId, unitsAdded } = order;
  const quota = (await quotasOf(trx, ctx, order.tenantId)).of(templateId);
  if (fitsQuota(quota, unitsAdded)) return;
  const { limitUnits, usedUnits, headroomUnits, freeUnits } = quota;
  const units = usedUnits + headroomUnits + unitsAdded;
  const held = headroomUnits === 0 ? `${usedUnits}` : `${usedUnits}, with ${headroomUnits} more for scaling out`;
  throw new CubitError(
    'quota_exceeded',
    `The quota for ${templateId} is ${limitUnits} units and in use are ${held}: ${unitsAdded} more do not fit, ${freeUnits} do. Apply for more: cubit quota apply ${templateId} --units ${units} --reason "…".`,
    {
      details: {
        templateId,
        limitUnits,
        usedUnits,
        headroomUnits,
        freeUnits,
        wantedUnits: unitsAdded,
        apply: { method: 'POST', path: `/api/v1/quotas/${templateId}/applications`, body: { units } },
      },
    },
  );
}

/** Gives a tenant a number of its own and tells it. What runs beyond it stays. */
export async function setQuota(
  trx: Trx,
  ctx: Ctx,
  wanted: {
    readonly tenantId: string;
    readonly templateId: string;
    readonly units: number;
    readonly note: string | null;
    /** What the notice is about, where it is not the quota itself. */
    readonly subject?: string;
  },
): Promise<Row<'quotas'>> {
  const { tenantId, templateId, units, note } = wanted;
  const updated_at_ms = ctx.now();
  const row = await trx
    .insertInto('quotas')
    .values({ id: ctx.newId('quota'), tenant_id: tenantId, template_id: templateId, units, updated_at_ms })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'template_id']).doUpdateSet({ units, updated_at_ms }))
    .returningAll()
    .executeTakeFirstOrThrow();
  await notify(trx, ctx, {
    tenantId,
    kind: 'quota_decided',
    subject: wanted.subject ?? row.id,
    dueAtMs: updated_at_ms,
    detail: { decision: 'granted', about: templateId, units, note },
  });
  return row;
}
