import { z } from 'zod';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { defineVerb } from '../verb.ts';
import { rowAt } from './book.ts';
import { BookVersion, versionView } from './schemas.ts';

export const priceBookList = defineVerb({
  name: 'price-book.list',
  summary: 'Versions of the price book, the latest to begin first.',
  access: 'operator',
  route: { method: 'GET', path: '/price-books' },
  input: z.strictObject(PageInput),
  output: pageOf(BookVersion),
  columns: ['version', 'state', 'validFromMs', 'currency', 'templates', 'source', 'notes'],
  async run({ ctx, input }) {
    const nowMs = ctx.now();
    const rows = await ctx.db
      .selectFrom('price_books')
      .selectAll()
      .$call(newestFirst(input, 'valid_from_ms', 'version'))
      .execute();
    const valid = (await rowAt(ctx.db, nowMs))?.version ?? null;
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.valid_from_ms, id: row.version }));
    return { items: page.rows.map((row) => versionView(row, valid, nowMs)), nextCursor: page.nextCursor };
  },
});
