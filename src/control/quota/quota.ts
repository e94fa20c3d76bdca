import {
  fitsQuota,
  type Holding,
  type LimitSource,
  type QuotaUse,
  quotaLimit,
  quotaUse,
} from '../../core/commerce/quota.ts';
import { CubitError } from '../../core/errors.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, LIVE_GROUP_STATES } from '../internal.ts';
import type { Ctx, Trx } from '../verb.ts';

export interface TemplateQuota extends QuotaUse {
  readonly templateId: string;
  readonly source: LimitSource;
}

/** What a tenant may hold of a template and what it holds. */
export async function quotaOf(
  db: Db,
  ctx: Pick<Ctx, 'catalog' | 'policy'>,
  tenantId: string,
  templateId: string,
): Promise<TemplateQuota> {
  const own = await db
    .selectFrom('quotas')
    .select('units')
    .where('tenant_id', '=', tenantId)
    .where('template_id', '=', templateId)
    .executeTakeFirst();
  const { limitUnits, source } = quotaLimit({
    tenant: own?.units ?? null,
    template: ctx.catalog.templates.get(templateId)?.quotaUnits ?? null,
    platform: ctx.policy.quotaUnits,
  });
  return { templateId, source, ...quotaUse(limitUnits, await holdingsOf(db, tenantId, templateId)) };
}

async function holdingsOf(db: Db, tenantId: string, templateId: string): Promise<Holding[]> {
  const groups = await db
    .selectFrom('instance_groups')
    .select(['id', 'units'])
    .where('tenant_id', '=', tenantId)
    .where('template_id', '=', templateId)
    .where('state', 'in', LIVE_GROUP_STATES)
    .execute();
  return groups.map(holdingOf);
}

/** Groups of a fixed size promise no more than they have. What an elastic rule may add to a group is counted here. */
function holdingOf(group: Pick<Row<'instance_groups'>, 'id' | 'units'>): Holding {
  return { units: group.units, headroomUnits: 0 };
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
  const quota = await quotaOf(trx, ctx, order.tenantId, templateId);
  if (fitsQuota(quota, unitsAdded)) return;
  const { limitUnits, usedUnits, headroomUnits, freeUnits } = quota;
  const needed = usedUnits + headroomUnits + unitsAdded;
  const held = headroomUnits === 0 ? `${usedUnits}` : `${usedUnits} and ${headroomUnits} for scaling out`;
  throw new CubitError(
    'quota_exceeded',
    `The quota for ${templateId} is ${limitUnits} units, in use are ${held}: ${unitsAdded} more do not fit, ${freeUnits} do. Ask the operator: cubit quota request --template-id ${templateId} --units ${needed} --reason "…".`,
    {
      details: {
        templateId,
        limitUnits,
        usedUnits,
        headroomUnits,
        freeUnits,
        wantedUnits: unitsAdded,
        request: { method: 'POST', path: '/api/v1/quota-requests', body: { templateId, units: needed } },
      },
    },
  );
}
