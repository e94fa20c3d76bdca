import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import type { Ctx, Trx } from '../verb.ts';
import { checkedRule, checkOnlyRule, checkTargets, storeRule } from './rule.ts';
import { RuleInput } from './schemas.ts';

const { minUnits: _base, ...Others } = RuleInput;

/** The rule that a new group comes with; its minimum is the units that are ordered. */
export const FirstRule = z.strictObject(Others).describe('Elastic rule of the group, in the same order; postpaid only');
export type FirstRule = z.output<typeof FirstRule>;

/** Throws `invalid_request` where units and rule do not go together. `at`: before the names of fields, with a dot. */
export function checkFirstRule(
  wanted: { readonly units: number; readonly billingType: string; readonly elastic?: FirstRule | undefined },
  at = '',
): void {
  if (wanted.elastic !== undefined && wanted.billingType === 'prepaid') {
    throw invalidField(`${at}elastic`, 'a prepaid group has no elasticity: order a postpaid one beside it');
  }
  if (wanted.units === 0 && wanted.elastic === undefined) {
    throw invalidField(`${at}units`, 'one at least; none only with an elastic rule that adds them');
  }
}

/** Gives a group that is being written its rule. Throws `invalid_request` with every fault, and `conflict`. */
export async function placeFirstRule(
  trx: Trx,
  ctx: Pick<Ctx, 'catalog' | 'now'>,
  { group, zone, elastic }: { group: Row<'instance_groups'>; zone: string; elastic: FirstRule },
): Promise<void> {
  const rule = checkedRule({ zone, minUnits: group.units }, elastic, 'elastic.');
  checkTargets(ctx.catalog, group.template_id, rule, 'elastic.');
  await checkOnlyRule(trx, group);
  await storeRule(trx, ctx, group, rule);
}
