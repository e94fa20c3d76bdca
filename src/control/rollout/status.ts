import { z } from 'zod';
import { requireEndpoint, scopeOf } from '../internal.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { lastRollout, RolloutView, rolloutView } from './schemas.ts';

export const rolloutStatus = defineVerb({
  name: 'rollout.status',
  summary: 'Where an endpoint’s last rollout is, and how both models do in its present step.',
  access: 'view',
  route: { method: 'GET', path: '/endpoints/{endpointId}/rollout' },
  input: z.strictObject({ endpointId: Id.describe('Id or name'), tenantId: TenantFilter }),
  output: RolloutView,
  async run({ ctx, input }) {
    const { id } = await requireEndpoint(ctx.db, scopeOf(ctx, input), input.endpointId);
    return rolloutView(ctx.db, await lastRollout(ctx.db, id));
  },
});
