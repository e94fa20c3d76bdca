import { z } from 'zod';
import { defineVerb } from '../verb.ts';
import { documentOf } from './book.ts';
import { writeCsvBook } from './csv.ts';
import { requireVersion, Version } from './schemas.ts';

export const priceBookExport = defineVerb({
  name: 'price-book.export',
  summary: 'A version of the price book as a file: change its version and validFrom, and import it.',
  access: 'operator',
  route: { method: 'GET', path: '/price-book/export' },
  input: z.strictObject({
    version: Version.optional().describe('The one that is valid now when left out'),
    format: z.enum(['json', 'csv']).default('json'),
  }),
  output: z.object({ version: Version, format: z.enum(['json', 'csv']), text: z.string() }),
  prints: 'text',
  async run({ ctx, input }) {
    const { row } = await requireVersion(ctx.db, input.version, ctx.now());
    const book = documentOf(row);
    const text = input.format === 'csv' ? writeCsvBook(book) : `${JSON.stringify(book, null, 2)}\n`;
    return { version: row.version, format: input.format, text };
  },
});
