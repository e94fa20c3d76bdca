import { z } from 'zod';
import { notFound } from '../internal.ts';
import { catalogNow } from '../price-book/book.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { TemplateDetail, templateView } from './schemas.ts';

export const templateShow = defineVerb({
  name: 'template.show',
  summary: 'One deployment template with its tiers, price and free units.',
  access: 'read',
  route: { method: 'GET', path: '/templates/{templateId}' },
  input: z.strictObject({ templateId: Id }),
  output: TemplateDetail,
  async run({ ctx, input }) {
    const template = ctx.catalog.templates.get(input.templateId);
    if (template === undefined) throw notFound('template', input.templateId);
    return templateView({ ...ctx, catalog: await catalogNow(ctx) }, template);
  },
});
