import { z } from 'zod';
import { notFound } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { ModelDetail, templateIdsOf } from './schemas.ts';

export const modelShow = defineVerb({
  name: 'model.show',
  summary: 'One model with its architecture facts and where each comes from.',
  access: 'view',
  route: { method: 'GET', path: '/models/{modelId}' },
  input: z.strictObject({ modelId: Id }),
  output: ModelDetail,
  async run({ ctx, input }) {
    const model = ctx.catalog.models.get(input.modelId);
    if (model === undefined) throw notFound('model', input.modelId);
    return { ...model, templateIds: templateIdsOf(ctx.catalog, model.id) };
  },
});
