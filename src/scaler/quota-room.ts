import type { Kysely } from 'kysely';
import type { Catalog } from '../catalog/schema.ts';
import { LIVE_GROUP_STATES } from '../control/internal.ts';
import type { SalesPolicy } from '../control/verb.ts';
import { quotaLimit } from '../core/commerce/quota.ts';
import type { Database } from '../store/schema.ts';

/** Units that a tenant's groups of a template may have added now, all of them together; Infinity without a limit. */
export type QuotaRoom = (tenantId: string, templateId: string) => number;

/**
 * What quotas leave to scaling beside the units that were ordered, read once for all tenants that have a rule. A quota that
 * was cut below what is held takes no ordered unit away; added ones have no room then.
 */
export async function quotaRoom(
  db: Kysely<Database>,
  { catalog, policy }: { readonly catalog: Pick<Catalog, 'templates'>; readonly policy: SalesPolicy },
): Promise<QuotaRoom> {
  const ruled = db.selectFrom('elastic_rules').select('tenant_id');
  const quotas = await db.selectFrom('quotas').selectAll().where('tenant_id', 'in', ruled).execute();
  const held = await db
    .selectFrom('instance_groups')
    .select(['tenant_id', 'template_id'])
    .select((eb) => eb.fn.sum<number>('units').as('units'))
    .where('tenant_id', 'in', ruled)
    .where('state', 'in', LIVE_GROUP_STATES)
    .groupBy(['tenant_id', 'template_id'])
    .execute();
  const keyOf = (tenantId: string, templateId: string) => `${tenantId} ${templateId}`;
  const own = new Map(quotas.map((row) => [keyOf(row.tenant_id, row.template_id), row.units]));
  const ordered = new Map(held.map((row) => [keyOf(row.tenant_id, row.template_id), Number(row.units)]));
  return (tenantId, templateId) => {
    const key = keyOf(tenantId, templateId);
    const { limitUnits } = quotaLimit({
      tenant: own.get(key) ?? null,
      template: catalog.templates.get(templateId)?.quotaUnits ?? null,
      platform: policy.quotaUnits,
    });
    return limitUnits === null ? Number.POSITIVE_INFINITY : Math.max(0, limitUnits - (ordered.get(key) ?? 0));
  };
}
