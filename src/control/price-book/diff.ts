import { z } from 'zod';
import { diffPrices } from '../../core/commerce/price-book.ts';
import { defineVerb } from '../verb.ts';
import { documentOf, pricesOf } from './book.ts';
import { differenceView, PriceDifference, requireVersion, Version } from './schemas.ts';

export const priceBookDiff = defineVerb({
  name: 'price-book.diff',
  summary: 'What one version of the price book changes against another.',
  access: 'operator',
  route: { method: 'GET', path: '/price-book/diff' },
  input: z.strictObject({
    from: Version.optional().describe('The one that is valid now when left out'),
    to: Version,
  }),
  output: z.object({ from: Version, to: Version, items: z.array(PriceDifference) }),
  columns: ['templateId', 'change', 'before', 'after'],
  async run({ ctx, input }) {
    const nowMs = ctx.now();
    const { row: from } = await requireVersion(ctx.db, input.from, nowMs);
    const { row: to } = await requireVersion(ctx.db, input.to, nowMs);
    const changes = diffPrices(pricesOf(documentOf(from)), pricesOf(documentOf(to)));
    return { from: from.version, to: to.version, items: changes.map(differenceView) };
  },
});
