import { z } from 'zod';
import { mayBuy } from '../../core/commerce/access.ts';
import { fitsQuota } from '../../core/commerce/quota.ts';
import { decidedAccess, stateOf } from '../access/access.ts';
import { acceptanceOf, agreementNow } from '../agreement/agreement.ts';
import { quotasOf } from '../quota/quota.ts';
import { Quota } from '../quota/schemas.ts';
import { Count } from '../schemas.ts';
import type { Ctx, Trx } from '../verb.ts';
import type { Quote } from './quote.ts';

export const Needs = z.object({
  access: z.boolean().describe('false: apply for it first (access.apply)'),
  agreement: z
    .object({ version: z.string(), title: z.string(), accepted: z.boolean() })
    .nullable()
    .describe('Not accepted: accept it, or send agreementVersion with the order; null: there is none'),
  quotas: z.array(
    z.object({ ...Quota.shape, unitsAdded: Count, fits: z.boolean().describe('false: apply for more (quota.apply)') }),
  ),
});

/** What placing these quotes asks for beside money, by the rules of `admitPurchase`; null when they buy nothing. */
export async function needsOf(
  trx: Trx,
  ctx: Ctx,
  tenantId: string,
  quotes: readonly Quote[],
): Promise<z.output<typeof Needs> | null> {
  const added = await unitsAdded(trx, quotes);
  if (added.size === 0 && !quotes.some((quote) => quote.kind === 'renew')) return null;
  const access = mayBuy(ctx.policy.access, stateOf(await decidedAccess(trx, tenantId, 'model_units')));
  const quotas = await quotasOf(trx, ctx, tenantId);
  const agreement = agreementNow(ctx);
  const accepted = agreement !== null && (await acceptanceOf(trx, tenantId, agreement)) !== undefined;
  return {
    access,
    agreement: agreement === null ? null : { version: agreement.version, title: agreement.title, accepted },
    quotas: [...added].map(([templateId, unitsAdded]) => {
      const quota = quotas.of(templateId);
      return { ...quota, unitsAdded, fits: fitsQuota(quota, unitsAdded) };
    }),
  };
}

/** Of each template, by all quotes together. */
async function unitsAdded(trx: Trx, quotes: readonly Quote[]): Promise<Map<string, number>> {
  const added = new Map<string, number>();
  for (const { kind, groupId, templateId, units } of quotes) {
    if (kind !== 'new' && kind !== 'resize') continue;
    const more = units - (groupId === null ? 0 : await unitsNow(trx, groupId));
    if (more > 0) added.set(templateId, (added.get(templateId) ?? 0) + more);
  }
  return added;
}

async function unitsNow(trx: Trx, groupId: string): Promise<number> {
  const { units } = await trx
    .selectFrom('instance_groups')
    .select('units')
    .where('id', '=', groupId)
    .executeTakeFirstOrThrow();
  return units;
}
