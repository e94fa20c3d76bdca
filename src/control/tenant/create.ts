import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { invalidField } from '../input.ts';
import { bookAt } from '../price-book/book.ts';
import { Name } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Tenant, tenantView } from './schemas.ts';

export const tenantCreate = defineVerb({
  name: 'tenant.create',
  summary: 'Make a tenant. Its wallet starts empty.',
  access: 'operate',
  route: { method: 'POST', path: '/tenants' },
  input: z.strictObject({
    name: Name,
    zone: z.string().max(64).default('Asia/Shanghai').describe('Billing zone, IANA: days and hours of bills follow it'),
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, 'three capital letters')
      .optional()
      .describe("The price book's when left out"),
  }),
  output: Tenant,
  async run({ ctx, input }) {
    const zone = canonicalZone(input.zone);
    const { currency } = await bookAt(ctx.db, ctx.catalog, ctx.now());
    if (input.currency !== undefined && input.currency !== currency) {
      throw invalidField('currency', `prices here are in ${currency}`);
    }
    return ctx.transaction(async (trx) => {
      const row = { id: ctx.newId('tenant'), name: input.name, zone, currency, created_at_ms: ctx.now() };
      await trx.insertInto('tenants').values(row).execute();
      await audit(trx, ctx, {
        verb: 'tenant.create',
        subject: row.id,
        tenantId: row.id,
        detail: { name: row.name, zone, currency },
      });
      return tenantView(row);
    });
  },
});

/** `asia/shanghai` → `Asia/Shanghai`. Bare offsets are no zones: they know nothing of summer time. */
function canonicalZone(zone: string): string {
  try {
    if (/^[A-Za-z]/.test(zone)) return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw invalidField('zone', `${JSON.stringify(zone)} is not an IANA time zone such as Asia/Shanghai`);
}
