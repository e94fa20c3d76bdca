import { z } from 'zod';
import { defineVerb } from '../verb.ts';
import { documentOf } from './book.ts';
import { BookVersion, priceViews, requireVersion, TemplatePrice, Version, versionView } from './schemas.ts';

export const priceBookShow = defineVerb({
  name: 'price-book.show',
  summary: 'One version of the price book with its prices.',
  access: 'operator',
  route: { method: 'GET', path: '/price-book' },
  input: z.strictObject({ version: Version.optional().describe('The one that is valid now when left out') }),
  output: BookVersion.extend({ prices: z.array(TemplatePrice) }),
  async run({ ctx, input }) {
    const nowMs = ctx.now();
    const { row, validVersion } = await requireVersion(ctx.db, input.version, nowMs);
    return { ...versionView(row, validVersion, nowMs), prices: priceViews(documentOf(row)) };
  },
});
