import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { type Db, requireGroup, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { readRule } from './rule.ts';
import { RuleView } from './schemas.ts';
import { openUnits } from './units.ts';

export const ruleShow = defineVerb({
  name: 'rule.show',
  summary: 'The elastic rule of a group, and the units that it has now.',
  access: 'view',
  route: { method: 'GET', path: '/groups/{groupId}/rule' },
  input: z.strictObject({ groupId: Id }),
  output: RuleView,
  async run({ ctx, input }) {
    await requireGroup(ctx.db, scopeOf(ctx), input.groupId);
    return ruleView(ctx.db, input.groupId);
  },
});

/** Throws `not_found` for a group without a rule. */
export async function ruleView(db: Db, groupId: string): Promise<z.output<typeof RuleView>> {
  const row = await db
    .selectFrom('elastic_rules')
    .innerJoin('instance_groups', 'instance_groups.id', 'elastic_rules.group_id')
    .select(['units', 'max_units', 'rule_json', 'changed_at_ms'])
    .where('group_id', '=', groupId)
    .executeTakeFirst();
  if (row === undefined) {
    throw new CubitError('not_found', `Group ${groupId} has no elastic rule. Give it one: cubit rule set.`);
  }
  const { windows, ...rule } = readRule(row);
  const added = (await openUnits(db, [groupId])).get(groupId) ?? [];
  const count = (state: string) => added.filter((unit) => unit.state === state).length;
  return {
    groupId,
    ...rule,
    windows: windows.map((window) => (window.kind === 'weekly' ? { ...window, days: [...window.days] } : window)),
    changedAtMs: row.changed_at_ms,
    units: { base: row.units, ready: count('ready'), starting: count('starting'), draining: count('draining') },
  };
}
