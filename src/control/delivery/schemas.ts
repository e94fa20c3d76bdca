import { z } from 'zod';
import { NOTICE_KINDS } from '../../core/commerce/notice.ts';
import { Count, EpochMs, Id } from '../schemas.ts';

export const DeliveryState = z
  .enum(['pending', 'delivered', 'failed', 'cancelled'])
  .describe('failed: given up after about a day of attempts');

export const Delivery = z.object({
  deliveryId: Id,
  tenantId: Id,
  channelId: Id,
  noticeId: Id,
  kind: z.enum(NOTICE_KINDS),
  state: DeliveryState,
  attempts: Count,
  failure: z.string().nullable().describe('Why the last attempt failed'),
  nextAttemptAtMs: EpochMs.nullable(),
  createdAtMs: EpochMs,
  endedAtMs: EpochMs.nullable(),
});
