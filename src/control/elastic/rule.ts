import { type ElasticRule, RULE_DEFAULTS } from '../../core/serving/scaling/rule.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';

/** The rule of a group, or null. Its minimum is the group's base units. */
export async function ruleOf(db: Db, groupId: string): Promise<ElasticRule | null> {
  const row = await db
    .selectFrom('elastic_rules')
    .innerJoin('instance_groups', 'instance_groups.id', 'elastic_rules.group_id')
    .select(['units', 'max_units', 'rule_json'])
    .where('group_id', '=', groupId)
    .executeTakeFirst();
  return row === undefined ? null : readRule(row);
}

export function readRule(
  row: Pick<Row<'elastic_rules'>, 'max_units' | 'rule_json'> & { readonly units: number },
): ElasticRule {
  const stored = JSON.parse(row.rule_json) as Omit<ElasticRule, 'minUnits' | 'maxUnits'>;
  return { ...RULE_DEFAULTS, ...stored, minUnits: row.units, maxUnits: row.max_units };
}
