import { z } from 'zod';
import { formatMicros } from '../core/commerce/money.ts';

/** Shapes that several verbs share. */
export const Id = z.string().min(1).max(64);
export const Count = z.int().nonnegative();
export const EpochMs = z.int().describe('Milliseconds since 1970-01-01 UTC');

/** For verbs that act for a tenant: its keys leave it out, the operator has to name one. */
export const TenantId = Id.optional().describe('Which tenant; only the operator has to say it');
/** For verbs that list: the operator sees every tenant without it. */
export const TenantFilter = Id.optional().describe('Only this tenant; the operator sees all without it');

/** The amount as an exact decimal number, so that clients need no big integers, and never without its currency. */
export const Money = z.object({
  amount: z.string().describe('Decimal with six places, as in 8.431000'),
  currency: z.string().describe('ISO 4217'),
});

export function money(micros: bigint, currency: string): z.output<typeof Money> {
  return { amount: formatMicros(micros), currency };
}

export const Units = z.int().min(1).max(10_000).describe('Model units');
/** Of a new group; 0 with an elastic rule. */
export const FirstUnits = z.int().min(0).max(10_000).describe('Model units; 0 only with an elastic rule');
export const BillingType = z.enum(['postpaid', 'prepaid']);
export const Months = z.int().min(1).max(36).describe('Months of prepaid units');
export const AutoRenewMonths = z
  .int()
  .min(1)
  .max(12)
  .describe('Prepaid: renew by itself, for so many months each time');
export const QuoteId = z.string().max(64).describe('Of a preview: place exactly that, or fail with quote_changed');
export const AgreementVersion = z
  .string()
  .min(1)
  .max(40)
  .describe('Accepts this version of the agreement with the order; not needed once it is accepted');
export const MaxWaitMs = z
  .int()
  .min(0)
  .max(600_000)
  .describe('What a request waits at most when it does not say; 0 = never');
export const OverflowPolicy = z.enum(['reject', 'queue', 'spill']).describe('What happens when the units are full');
export const TrafficPercent = z.int().min(0).max(100);

export const Name = z.string().trim().min(1).max(100);
