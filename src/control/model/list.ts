import { z } from 'zod';
import { pageOf } from '../page.ts';
import { defineVerb } from '../verb.ts';
import { byId, ModelSummary, templateIdsOf } from './schemas.ts';

export const modelList = defineVerb({
  name: 'model.list',
  summary: 'Models of the catalogue.',
  access: 'view',
  route: { method: 'GET', path: '/models' },
  input: z.strictObject({
    family: z.string().max(100).optional(),
    availability: ModelSummary.shape.availability.optional(),
    deployable: z.boolean().optional().describe('true: only models with a deployment template'),
  }),
  output: pageOf(ModelSummary),
  columns: ['id', 'availability', 'provisionedAs', 'contextTokens', 'templateIds'],
  async run({ ctx, input }) {
    const items = [...ctx.catalog.models.values()]
      .filter((model) => input.family === undefined || model.family === input.family)
      .filter((model) => input.availability === undefined || model.availability === input.availability)
      .map((model) => ({ ...model, templateIds: templateIdsOf(ctx.catalog, model.id) }))
      .filter((model) => input.deployable === undefined || model.templateIds.length > 0 === input.deployable)
      .sort(byId);
    return { items, nextCursor: null };
  },
});
