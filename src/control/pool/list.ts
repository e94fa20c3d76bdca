import { z } from 'zod';
import { pageOf } from '../page.ts';
import { defineVerb } from '../verb.ts';
import { livePools } from './pools.ts';
import { PoolView, poolView } from './schemas.ts';

export const poolList = defineVerb({
  name: 'pool.list',
  summary: 'Models that can be paid by the token: prices, default limits, and for the operator the units behind them.',
  access: 'view',
  route: { method: 'GET', path: '/pools' },
  input: z.strictObject({}),
  output: pageOf(PoolView),
  columns: ['poolId', 'modelId', 'price', 'rpm', 'tpm', 'units', 'unitsReady'],
  async run({ ctx }) {
    const pools = await livePools(ctx.db);
    return { items: await Promise.all(pools.map((pool) => poolView(ctx, ctx.db, pool))), nextCursor: null };
  },
});
