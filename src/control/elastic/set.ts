import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { resizeGroup } from '../order/resize.ts';
import { checkQuota } from '../quota/quota.ts';
import { Id } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { checkedRule, checkOnlyRule, checkTargets, ruleOf, storeRule } from './rule.ts';
import { RuleInput, RuleView } from './schemas.ts';
import { ruleView } from './show.ts';
import { handOver } from './units.ts';

export const ruleSet = defineVerb({
  name: 'rule.set',
  summary:
    'Give a postpaid group an elastic rule, or change it: within bounds, schedule and targets units follow the load.',
  access: 'buy',
  route: { method: 'POST', path: '/groups/{groupId}/rule' },
  input: z.strictObject({ groupId: Id, ...RuleInput }),
  output: RuleView,
  async run({ ctx, input }) {
    const { groupId, ...wanted } = input;
    const answer = await ctx.transaction(async (trx) => {
      const group = await requireGroup(trx, scopeOf(ctx), groupId);
      const tenant = await requireTenant(trx, group.tenant_id);
      const before = await ruleOf(trx, groupId);
      const rule = checkedRule(before ?? { zone: tenant.zone, minUnits: group.units }, wanted);
      await checkGroup(trx, group);
      checkTargets(ctx.catalog, group.template_id, rule);
      const unitsAdded = rule.maxUnits - Math.max(group.units, before?.maxUnits ?? 0);
      if (unitsAdded > 0) {
        await checkQuota(trx, ctx, { tenantId: tenant.id, templateId: group.template_id, unitsAdded });
      }
      await storeRule(trx, ctx, group, rule);
      if (rule.minUnits !== group.units) await changeBase(trx, ctx, { group, tenant, units: rule.minUnits });
      const detail = { ...rule };
      await audit(trx, ctx, { verb: 'rule.set', subject: groupId, tenantId: group.tenant_id, detail });
      return ruleView(trx, groupId);
    });
    ctx.changed();
    return answer;
  },
});

/** Throws `conflict` or `invalid_transition` for a group that cannot scale. */
async function checkGroup(trx: Trx, group: Row<'instance_groups'>): Promise<void> {
  if (group.billing_type === 'prepaid') {
    throw new CubitError(
      'conflict',
      'A prepaid group has no elasticity: order a postpaid group beside it and scale that.',
    );
  }
  if (group.state !== 'active') {
    throw new CubitError('invalid_transition', `The group is ${group.state}: its rule can be set once it is active.`);
  }
  await checkOnlyRule(trx, group);
}

/** Fewer base units: those beyond go on as added ones, so that nothing stops before scaling says so. More: an order. */
async function changeBase(
  trx: Trx,
  ctx: Ctx,
  { group, tenant, units }: { group: Row<'instance_groups'>; tenant: Row<'tenants'>; units: number },
): Promise<void> {
  if (units < group.units) await handOver(trx, ctx, group, units);
  await resizeGroup(trx, ctx, { before: group, tenant, units });
}
