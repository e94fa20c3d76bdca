import { z } from 'zod';
import { TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Month, Statement, statementOf } from './month.ts';

export const statementShow = defineVerb({
  name: 'statement.show',
  summary: 'A month of a tenant: what moved in wallet, unearned and revenue, and what each group cost.',
  access: 'read',
  route: { method: 'GET', path: '/statements/{month}' },
  input: z.strictObject({ month: Month, tenantId: TenantId }),
  output: Statement,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    return ctx.db.transaction().execute((trx) => statementOf(trx, tenantId, input.month));
  },
});
