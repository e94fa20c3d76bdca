import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { requireGroup, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { ruleView } from './show.ts';
import { moveUnit, openUnits } from './units.ts';

export const ruleRemove = defineVerb({
  name: 'rule.remove',
  summary: 'Take the elastic rule off a group: units that scaling added are drained, base units stay.',
  access: 'buy',
  route: { method: 'DELETE', path: '/groups/{groupId}/rule' },
  input: z.strictObject({ groupId: Id }),
  output: z.object({ groupId: Id, unitsGivenBack: z.int() }),
  async run({ ctx, input }) {
    const { groupId } = input;
    const answer = await ctx.transaction(async (trx) => {
      const group = await requireGroup(trx, scopeOf(ctx), groupId);
      await ruleView(trx, groupId);
      const units = (await openUnits(trx, [groupId])).get(groupId) ?? [];
      for (const unit of units) {
        if (unit.state === 'ready') await moveUnit(trx, ctx, { group, unit, event: 'drain' });
        if (unit.state === 'starting') await moveUnit(trx, ctx, { group, unit, event: 'release' });
      }
      await trx.deleteFrom('elastic_rules').where('group_id', '=', groupId).execute();
      await audit(trx, ctx, { verb: 'rule.remove', subject: groupId, tenantId: group.tenant_id });
      return { groupId, unitsGivenBack: units.length };
    });
    ctx.changed();
    return answer;
  },
});
