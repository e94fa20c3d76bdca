import { expect, test } from 'vitest';
import { insertReceipts } from '../../store/receipts.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { START_MS } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { poolWorld } from '../pool/fixture.ts';
import { receipt } from '../usage/fixture.ts';
import { statementShow } from './show.ts';

const HOUR_MS = 3_600_000;

test('what units cost against the same use by the token: saved, lost, or no price to tell by', async () => {
  const { control } = await poolWorld();
  const tenant = await control.tenant();
  const busy = await control.endpoint(tenant.manager, 1, 'busy');
  const idle = await control.endpoint(tenant.manager, 1, 'idle');
  const unpriced = await control.call(endpointCreate, tenant.manager, {
    name: 'unpriced',
    models: [{ modelId: 'beta', units: 1 }],
  });
  await control.provisioned();
  // 4 M input at 0.80, 1 M cached at 0.16, 3 M output at 2.00 = 9.36 CNY; two requests that cost nothing beside them.
  const tokens = { promptTokens: 5_000_000, cachedTokens: 1_000_000, outputTokens: 3_000_000 };
  const { tenantId } = tenant;
  const to = ({ endpointId, models }: typeof busy) => ({
    tenantId,
    endpointId,
    servedModelId: models[0]!.servedModelId,
  });
  await insertReceipts(control.store.db, [
    receipt(1, { ...to(busy), ...tokens, receivedAtMs: START_MS }),
    receipt(2, { ...to(busy), ...tokens, receivedAtMs: START_MS, outcome: 'failed' }),
    receipt(3, { ...to(busy), ...tokens, receivedAtMs: START_MS - 31 * 24 * HOUR_MS }),
    receipt(4, { ...to(unpriced), ...tokens, receivedAtMs: START_MS }),
  ]);
  control.nowMs = START_MS + 2 * HOUR_MS;
  await runJobs(control);
  const { savings, cost } = await control.call(statementShow, tenant.reader, { month: '2026-04' });
  const of = (endpointId: string) => savings.find((one) => one.endpointId === endpointId);
  expect(of(busy.endpointId)).toMatchObject({
    requests: 1,
    inputTokens: 4_000_000,
    cachedTokens: 1_000_000,
    outputTokens: 3_000_000,
    unitsCost: { amount: '3.600000' },
    payPerTokenCost: { amount: '9.360000' },
    saved: { amount: '5.760000' },
  });
  expect(of(idle.endpointId)).toMatchObject({
    requests: 0,
    payPerTokenCost: { amount: '0.000000' },
    saved: { amount: '-3.600000' },
  });
  expect(of(unpriced.endpointId)).toMatchObject({ requests: 1, payPerTokenCost: null, saved: null });
  expect(cost.amount).toBe('9.000000');
});
