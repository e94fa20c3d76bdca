import { z } from 'zod';
import { invalidField } from '../input.ts';
import { Count } from '../schemas.ts';
import type { Ctx } from '../verb.ts';

export const QUOTA_UNITS_MAX = 1_000_000;
export const QuotaUnits = z.int().min(1).max(QUOTA_UNITS_MAX).describe('The whole quota, not what is added to it');

export const Quota = z.object({
  templateId: z.string(),
  limitUnits: Count.nullable().describe('null: as many as machines allow'),
  source: z
    .enum(['tenant', 'template', 'platform', 'none'])
    .describe("Who says so: the operator for this tenant, the template's default, the platform's, or nobody"),
  usedUnits: Count.describe('Units that the tenant has or is being given, of all billing types'),
  headroomUnits: Count.describe('Beyond those, what scaling out may add'),
  freeUnits: Count.nullable().describe('What may still be ordered; null: no limit'),
});
export type QuotaView = z.output<typeof Quota>;

/** Throws `invalid_request`. */
export function checkTemplate({ catalog }: Pick<Ctx, 'catalog'>, templateId: string): void {
  if (catalog.templates.has(templateId)) return;
  throw invalidField('templateId', `there is no template ${templateId}: cubit template list has all`);
}
