import { z } from 'zod';
import { nextChangeMs } from '../../core/commerce/price-book.ts';
import { EpochMs, Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { bookAt, keptVersions } from './book.ts';
import { priceViews, TemplatePrice, Version } from './schemas.ts';

export const priceList = defineVerb({
  name: 'price.list',
  summary: 'Prices of every template by the hour and by the month, discounts for long terms, and when they change.',
  access: 'read',
  route: { method: 'GET', path: '/prices' },
  input: z.strictObject({
    templateId: Id.optional().describe('Only this template'),
    atMs: EpochMs.optional().describe('As they are then, also to come; now when left out'),
  }),
  output: z.object({
    version: Version,
    nextChangeMs: EpochMs.nullable().describe(
      'When another version begins; running postpaid units pay it from the next hour on',
    ),
    items: z.array(TemplatePrice),
  }),
  columns: ['templateId', 'hourly', 'monthly', 'penalty', 'discounts'],
  async run({ ctx, input }) {
    const atMs = input.atMs ?? ctx.now();
    const book = await bookAt(ctx.db, ctx.catalog, atMs);
    const items = priceViews(book).filter(
      ({ templateId }) => input.templateId === undefined || templateId === input.templateId,
    );
    return { version: book.version, nextChangeMs: nextChangeMs(await keptVersions(ctx.db), atMs), items };
  },
});
