import { z } from 'zod';
import { byId } from '../model/schemas.ts';
import { pageOf } from '../page.ts';
import { catalogNow } from '../price-book/book.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { TemplateDetail, templateView } from './schemas.ts';

export const templateList = defineVerb({
  name: 'template.list',
  summary: 'Deployment templates with their tiers, price and free units.',
  access: 'read',
  route: { method: 'GET', path: '/templates' },
  input: z.strictObject({ modelId: Id.optional() }),
  output: pageOf(TemplateDetail),
  columns: ['id', 'kind', 'price.hourly', 'price.currency', 'capacity.freeUnits', 'name'],
  async run({ ctx, input }) {
    const now = { ...ctx, catalog: await catalogNow(ctx) };
    const items = [...ctx.catalog.templates.values()]
      .filter((template) => input.modelId === undefined || template.modelId === input.modelId)
      .sort(byId)
      .map((template) => templateView(now, template));
    return { items, nextCursor: null };
  },
});
