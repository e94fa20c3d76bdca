import { z } from 'zod';
import { overdueReclaimMs } from '../overdue/overdue.ts';
import { Count } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { settle } from './settle.ts';

/** The same run as the background job's; each bill has a transaction and an audit row of its own. */
export const billSettle = defineVerb({
  name: 'bill.settle',
  summary: 'Issue the bills that are due now. The background job does the same every minute.',
  access: 'operator',
  route: { method: 'POST', path: '/bills/settle' },
  input: z.strictObject({}),
  output: z.object({
    bills: Count.describe('Issued by this call'),
    more: z.boolean().describe('True when more are due: call again'),
    failedTenantIds: z.array(z.string()).describe('Tenants whose bills could not be written; the log says why'),
  }),
  async run({ ctx }) {
    const { bills, more, failures } = await settle({
      db: ctx.db,
      now: () => ctx.now(),
      newId: ctx.newId,
      // Units of a tenant that stays overdue are taken back before they are billed on.
      holdMs: (tenantId) => overdueReclaimMs(ctx.db, tenantId),
    });
    return { bills, more, failedTenantIds: failures.map((failure) => failure.tenantId) };
  },
});
