import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { chooseModels } from '../endpoint/choose.ts';
import { invalidField } from '../input.ts';
import { checkCapacity, checkSellable } from '../order/place.ts';
import { Id, Units } from '../schemas.ts';
import { defineVerb, type Trx } from '../verb.ts';
import type { Pool } from './pools.ts';
import { tokenPriceOf } from './price.ts';
import { PoolView, poolView, Rpm, Tpm } from './schemas.ts';

export const poolCreate = defineVerb({
  name: 'pool.create',
  summary: 'Run units of a model for all tenants who pay it by the token.',
  access: 'operate',
  route: { method: 'POST', path: '/pools' },
  input: z.strictObject({
    modelId: Id,
    templateId: Id.optional().describe('A template of the model; the first that machines here run when left out'),
    coefficient: z.number().min(1).optional().describe('Elasticity coefficient of a tier; the smallest when left out'),
    units: Units,
    rpm: Rpm.default(60).describe('Requests a minute of a tenant without limits of its own'),
    tpm: Tpm.default(100_000).describe('Tokens a minute of a tenant without limits of its own'),
  }),
  output: PoolView,
  async run({ ctx, input }) {
    const [chosen] = chooseModels(ctx.catalog, ctx.fleet, [input]);
    const { model, template, coefficient } = chosen!;
    checkSellable(template);
    if (template.kind !== 'single') {
      throw new CubitError(
        'unsupported_feature',
        `Units of ${template.id} consist of several machines; a pool needs a single-machine template.`,
      );
    }
    const answer = await ctx.transaction(async (trx) => {
      // From here on it has one: a version of the book can change it, not take it away.
      if ((await tokenPriceOf(trx, model.id, ctx.now())) === null) {
        throw invalidField('modelId', `the price book has no token price of ${model.id}: add one to its tokenPrices`);
      }
      await checkCapacity(trx, ctx, template.id, input.units);
      const pool: Pool = {
        id: ctx.newId('pool'),
        model_id: model.id,
        template_id: template.id,
        coefficient,
        units: input.units,
        requests_per_minute: input.rpm,
        tokens_per_minute: input.tpm,
        created_at_ms: ctx.now(),
        removed_at_ms: null,
      };
      await insertPool(trx, pool);
      const { templateId: _template, ...detail } = input;
      const entry = {
        verb: 'pool.create',
        subject: pool.id,
        tenantId: null,
        detail: { ...detail, templateId: template.id },
      };
      await audit(trx, ctx, entry);
      return poolView(ctx, trx, pool);
    });
    ctx.changed();
    return answer;
  },
});

/** The unique index on live pools decides a race of two. */
async function insertPool(trx: Trx, pool: Pool): Promise<void> {
  const inserted = await trx
    .insertInto('pools')
    .values(pool)
    .onConflict((conflict) => conflict.column('model_id').where('removed_at_ms', 'is', null).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (inserted !== undefined) return;
  throw new CubitError('conflict', `${pool.model_id} has a pool already. Resize it (cubit pool resize).`, {
    details: { field: 'modelId' },
  });
}
