import { z } from 'zod';
import { CONTENT_TYPES, Download, Format } from '../document/download.ts';
import { Language } from '../document/words.ts';
import { scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { billDetail } from './detail.ts';
import { billCsv, billPage } from './document.ts';

export const billExport = defineVerb({
  name: 'bill.export',
  summary: 'One bill as a table (CSV) or as a page to print, with every line, its arithmetic and its corrections.',
  access: 'view_money',
  route: { method: 'GET', path: '/bills/{billId}/export' },
  input: z.strictObject({ billId: Id, format: Format, language: Language }),
  output: Download,
  download: true,
  async run({ ctx, input: { billId, format, language } }) {
    const detail = await billDetail(ctx.db, scopeOf(ctx), billId);
    return {
      filename: `${detail.bill.id}.${format}`,
      contentType: CONTENT_TYPES[format],
      body: format === 'csv' ? billCsv(detail) : billPage(detail, language),
    };
  },
});
