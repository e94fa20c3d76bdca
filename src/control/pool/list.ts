import { z } from 'zod';
import { pageOf } from '../page.ts';
import { replicasById } from '../units.ts';
import { defineVerb } from '../verb.ts';
import { livePools } from './pools.ts';
import { PoolView, poolView } from './schemas.ts';

export const poolList = defineVerb({
  name: 'pool.list',
  summary: 'Models that can be paid by the token: prices, default limits, and for the operator the units behind them.',
  access: 'read',
  route: { method: 'GET', path: '/pools' },
  input: z.strictObject({}),
  output: pageOf(PoolView),
  columns: ['poolId', 'modelId', 'price', 'rpm', 'tpm', 'units', 'unitsReady'],
  async run({ ctx }) {
    const replicas = replicasById(ctx.fleet.list());
    return { items: (await livePools(ctx.db)).map((pool) => poolView(ctx, pool, replicas)), nextCursor: null };
  },
});
