import { z } from 'zod';
import { LANGUAGES } from '../../core/commerce/notice.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, requireTenant } from '../internal.ts';
import { Id, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';

export const Preferences = z.object({
  tenantId: Id,
  language: z.enum(LANGUAGES).describe('Of e-mails and of the text in webhooks'),
  bills: z
    .enum(['each', 'daily', 'monthly', 'off'])
    .describe('How often bills are told: every hourly bill, a sum a day, a sum a month (the default), or never'),
});

export async function preferencesOf(
  db: Db,
  tenantId: string,
): Promise<Pick<Row<'notice_preferences'>, 'language' | 'bills'>> {
  const row = await db
    .selectFrom('notice_preferences')
    .select(['language', 'bills'])
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst();
  return row ?? { language: 'en', bills: 'monthly' };
}

export const noticePreferences = defineVerb({
  name: 'notice.preferences',
  summary: 'In which language a tenant is told things, and how often of bills.',
  access: 'view',
  route: { method: 'GET', path: '/notice-preferences' },
  input: z.strictObject({ tenantId: TenantId }),
  output: Preferences,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    await requireTenant(ctx.db, tenantId);
    return { tenantId, ...(await preferencesOf(ctx.db, tenantId)) };
  },
});
