import { CubitError } from '../../core/errors.ts';
import { type ElasticRule, faultsOfRule, RULE_DEFAULTS } from '../../core/serving/scaling/rule.ts';
import { faultsOfTargets, leastLatency } from '../../core/serving/scaling/targets.ts';
import type { Row } from '../../store/schema.ts';
import { invalidInput } from '../input.ts';
import { type Db, LIVE_GROUP_STATES } from '../internal.ts';
import type { Ctx, Trx } from '../verb.ts';

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

type Said = { readonly [K in keyof ElasticRule]?: ElasticRule[K] | undefined } & Pick<ElasticRule, 'maxUnits'>;

/** What was said over what was there, and the defaults. Throws `invalid_request` with every fault; `at`: before its field. */
export function checkedRule(
  before: Pick<ElasticRule, 'zone' | 'minUnits'> & Partial<ElasticRule>,
  { maxUnits, ...wanted }: Said,
  at = '',
): ElasticRule {
  const said = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  const rule = { ...RULE_DEFAULTS, ...before, ...said, maxUnits };
  const faults = faultsOfRule(rule);
  if (faults.length > 0) throw invalidInput(faults.map((fault) => ({ ...fault, field: `${at}${fault.field}` })));
  return rule;
}

/** Throws `invalid_request` for targets that a unit alone with one short request does not reach, with what it does. */
export function checkTargets(catalog: Ctx['catalog'], templateId: string, rule: ElasticRule, at = ''): void {
  const template = catalog.templates.get(templateId);
  if (template === undefined) return;
  const best = leastLatency(template.profile.step, template.profile.prefillFixedUs);
  const faults = faultsOfTargets(rule, best).map((fault) => ({ ...fault, field: `${at}${fault.field}` }));
  if (faults.length > 0) throw invalidInput(faults);
}

/** Throws `conflict` when another group of the same served model scales. */
export async function checkOnlyRule(
  trx: Trx,
  group: Pick<Row<'instance_groups'>, 'id' | 'served_model_id'>,
): Promise<void> {
  const other = await trx
    .selectFrom('elastic_rules')
    .innerJoin('instance_groups', 'instance_groups.id', 'elastic_rules.group_id')
    .select('group_id')
    .where('elastic_rules.served_model_id', '=', group.served_model_id)
    .where('group_id', '!=', group.id)
    .where('state', 'in', LIVE_GROUP_STATES)
    .executeTakeFirst();
  if (other === undefined) return;
  throw new CubitError('conflict', `Group ${other.group_id} of the same model scales already: one of them can.`, {
    details: { groupId: other.group_id },
  });
}

export async function storeRule(
  trx: Trx,
  ctx: Pick<Ctx, 'now'>,
  group: Row<'instance_groups'>,
  rule: ElasticRule,
): Promise<void> {
  const { minUnits: _base, maxUnits, ...rest } = rule;
  const values = { max_units: maxUnits, rule_json: JSON.stringify(rest), changed_at_ms: ctx.now() };
  await trx
    .insertInto('elastic_rules')
    .values({ group_id: group.id, tenant_id: group.tenant_id, served_model_id: group.served_model_id, ...values })
    .onConflict((conflict) => conflict.column('group_id').doUpdateSet(values))
    .execute();
}
