import { z } from 'zod';
import { CONTENT_TYPES, Download, Format } from '../document/download.ts';
import { Language } from '../document/words.ts';
import { TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { statementCsv, statementPage } from './document.ts';
import { Month, statementOf } from './month.ts';

export const statementExport = defineVerb({
  name: 'statement.export',
  summary: "A tenant's month as a table (CSV) or as a page to print.",
  access: 'view_money',
  route: { method: 'GET', path: '/statements/{month}/export' },
  input: z.strictObject({ month: Month, tenantId: TenantId, format: Format, language: Language }),
  output: Download,
  download: true,
  async run({ ctx, input }) {
    const { format, language } = input;
    const tenantId = tenantOf(ctx, input);
    return ctx.db.transaction().execute(async (trx) => {
      const { statement, tenant } = await statementOf(trx, tenantId, input.month);
      const facts = { ...statement, tenant: tenant.name, madeAtMs: ctx.now() };
      return {
        filename: `statement-${statement.month}-${tenantId}.${format}`,
        contentType: CONTENT_TYPES[format],
        body: format === 'csv' ? statementCsv(facts) : statementPage(facts, language),
      };
    });
  },
});
