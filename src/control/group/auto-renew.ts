import { z } from 'zod';
import { autoRenewLock } from '../../core/commerce/term.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { isLive, requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { AutoRenewMonths, Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Group, groupViews } from './schemas.ts';

export const groupAutoRenew = defineVerb({
  name: 'group.auto-renew',
  summary: 'Switch auto-renewal of a prepaid group on or off. Not off on the last day before its expiry.',
  access: 'pay',
  route: { method: 'POST', path: '/groups/{groupId}/auto-renew' },
  input: z.strictObject({ groupId: Id, enabled: z.boolean(), months: AutoRenewMonths.default(1) }),
  output: Group,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const before = await requireGroup(trx, scopeOf(ctx), input.groupId);
      const months = input.enabled ? input.months : null;
      checkRenewable(before, ctx.now());
      if (!input.enabled) checkUnlocked(before, (await requireTenant(trx, before.tenant_id)).zone, ctx.now());
      const group = await trx
        .updateTable('instance_groups')
        .set({ auto_renew_months: months, auto_renew_failure: null })
        .where('id', '=', before.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      await audit(trx, ctx, {
        verb: 'group.auto-renew',
        subject: group.id,
        tenantId: group.tenant_id,
        detail: { enabled: input.enabled, months },
      });
      const [view] = await groupViews(ctx, trx, [group]);
      return view!;
    });
  },
});

function checkRenewable(group: Row<'instance_groups'>, nowMs: number): void {
  if (isLive(group.state) && group.reclaim_at_ms !== null && nowMs < group.reclaim_at_ms) return;
  const why = group.billing_type === 'postpaid' ? 'is postpaid' : `is ${group.state} or due to be reclaimed`;
  throw new CubitError('conflict', `The group ${group.id} ${why}: it has nothing to renew.`, {
    details: { groupId: group.id, state: group.state },
  });
}

function checkUnlocked(group: Row<'instance_groups'>, zone: string, nowMs: number): void {
  if (group.auto_renew_months === null || group.expires_at_ms === null) return;
  const { fromMs, toMs } = autoRenewLock({ expiresAtMs: group.expires_at_ms, zone });
  if (nowMs < fromMs || nowMs >= toMs) return;
  throw new CubitError(
    'conflict',
    `Auto-renewal is locked from ${new Date(fromMs).toISOString()} to the expiry at ${new Date(toMs).toISOString()}.`,
    { details: { lockedFromMs: fromMs, lockedToMs: toMs } },
  );
}
