import { requireAccess } from '../access/access.ts';
import { requireAgreement } from '../agreement/agreement.ts';
import { checkQuota } from '../quota/quota.ts';
import type { Ctx, Trx } from '../verb.ts';

/**
 * What every purchase of units passes before capacity and wallet are looked at: access, agreement, quota. Throws
 * `access_required`, `agreement_required`, `quota_exceeded`.
 */
export async function admitPurchase(
  trx: Trx,
  ctx: Ctx,
  purchase: {
    readonly tenantId: string;
    readonly templateId: string;
    readonly unitsAdded: number;
    readonly agreementVersion: string | undefined;
  },
): Promise<void> {
  await requireAccess(trx, ctx, purchase.tenantId);
  await requireAgreement(trx, ctx, purchase.tenantId, purchase.agreementVersion);
  await checkQuota(trx, ctx, purchase);
}
