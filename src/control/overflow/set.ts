import { z } from 'zod';
import { MONEY_PATTERN, parseMicros } from '../../core/commerce/money.ts';
import { SPILL_REASONS } from '../../gateway/overflow-snapshot.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { holdEndpoint, requireEndpoint, scopeOf } from '../internal.ts';
import { Id, MaxWaitMs, OverflowPolicy, TenantFilter } from '../schemas.ts';
import { defineVerb, type Trx } from '../verb.ts';
import { NO_OVERFLOW, type OverflowConfig, overflowOf } from './config.ts';
import { OverflowView, overflowView, targetOf } from './schemas.ts';

export const overflowSet = defineVerb({
  name: 'overflow.set',
  summary:
    'Say what becomes of requests that an endpoint has no place for: refused, queued, or spilled to targets in order.',
  access: 'buy',
  route: { method: 'POST', path: '/endpoints/{endpointId}/overflow' },
  input: z.strictObject({
    endpointId: Id.describe('Id or name'),
    tenantId: TenantFilter,
    policy: OverflowPolicy.optional(),
    allow: z.array(OverflowPolicy).max(3).optional().describe('What a request may ask for beside policy and reject'),
    maxWaitMs: MaxWaitMs.optional().describe('Of the policy queue'),
    spillAfterMs: MaxWaitMs.optional().describe('What a request waits before it spills when it does not say'),
    reasons: z.array(z.enum(SPILL_REASONS)).min(1).max(3).optional().describe('For which a request spills; all'),
    targets: z
      .array(Id)
      .max(8)
      .optional()
      .describe('Endpoints by id or name, upstreams and own served models by id, in order'),
    budgetAmount: z.string().regex(MONEY_PATTERN, 'an amount like 12.50').optional().describe('Of a period, at most'),
    budgetPeriod: z.enum(['day', 'month']).optional(),
  }),
  output: OverflowView,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const endpoint = await requireEndpoint(trx, scopeOf(ctx, input), input.endpointId);
      await holdEndpoint(trx, endpoint.id);
      const config = await changed(trx, endpoint, input);
      const policy = input.policy ?? endpoint.overflow_policy;
      await check(trx, endpoint, policy, config);
      const row = await trx
        .updateTable('endpoints')
        .set({ overflow_policy: policy, max_wait_ms: input.maxWaitMs ?? endpoint.max_wait_ms })
        .where('id', '=', endpoint.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      const written = { config_json: JSON.stringify(config), changed_at_ms: ctx.now() };
      await trx
        .insertInto('overflows')
        .values({ endpoint_id: row.id, tenant_id: row.tenant_id, ...written })
        .onConflict((conflict) => conflict.column('endpoint_id').doUpdateSet(written))
        .execute();
      const detail = { policy, ...config };
      await audit(trx, ctx, { verb: 'overflow.set', subject: row.id, tenantId: row.tenant_id, detail });
      return overflowView(trx, row, ctx.now());
    });
    ctx.changed();
    return answer;
  },
});

interface Changes {
  readonly allow?: OverflowConfig['allow'] | undefined;
  readonly spillAfterMs?: number | undefined;
  readonly reasons?: OverflowConfig['reasons'] | undefined;
  readonly targets?: readonly string[] | undefined;
  readonly budgetAmount?: string | undefined;
  readonly budgetPeriod?: 'day' | 'month' | undefined;
}

async function changed(trx: Trx, endpoint: Row<'endpoints'>, changes: Changes): Promise<OverflowConfig> {
  const before = (await overflowOf(trx, endpoint.id)) ?? NO_OVERFLOW;
  const targets = changes.targets === undefined ? before.targets : await idsOf(trx, endpoint, changes.targets);
  return {
    allow: [...new Set(changes.allow ?? before.allow)],
    targets,
    reasons: [...new Set(changes.reasons ?? before.reasons)],
    spillAfterMs: changes.spillAfterMs ?? before.spillAfterMs,
    budget: budgetOf(before.budget, changes),
  };
}

function budgetOf(before: OverflowConfig['budget'], { budgetAmount, budgetPeriod }: Changes): OverflowConfig['budget'] {
  if (budgetAmount === undefined && budgetPeriod === undefined) return before;
  if (budgetAmount === undefined && before === null) throw invalidField('budgetAmount', 'say how much');
  const micros = budgetAmount === undefined ? (before?.micros ?? 0) : Number(parseMicros(budgetAmount));
  if (micros < 0 || !Number.isSafeInteger(micros)) throw invalidField('budgetAmount', 'has to be 0 or more');
  return { micros, period: budgetPeriod ?? before?.period ?? 'month' };
}

/** A request spills once: where a target would spill to itself plays no part, so only the endpoint itself is refused. */
async function idsOf(trx: Trx, endpoint: Row<'endpoints'>, wanted: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const [index, name] of wanted.entries()) {
    const found = await targetOf(trx, endpoint, name);
    if (found === undefined) {
      throw invalidField(`targets.${index}`, `you have no endpoint and no upstream ${name}; cubit upstream list`);
    }
    if (found.id === endpoint.id) throw invalidField(`targets.${index}`, 'an endpoint cannot spill to itself');
    if (ids.includes(found.id)) throw invalidField(`targets.${index}`, `${name} is named twice`);
    ids.push(found.id);
  }
  return ids;
}

async function check(
  trx: Trx,
  endpoint: Row<'endpoints'>,
  policy: Row<'endpoints'>['overflow_policy'],
  { allow, targets, budget }: OverflowConfig,
): Promise<void> {
  if (policy !== 'spill' && !allow.includes('spill')) return;
  if (targets.length === 0) throw invalidField('targets', 'say where to: endpoints or upstreams, in order');
  for (const id of targets) {
    const isPriced = (await targetOf(trx, endpoint, id))?.isPriced === true;
    if (isPriced && budget === null) {
      throw invalidField('budgetAmount', `${id} costs money: say what spilling may cost in a day or month`);
    }
  }
}
