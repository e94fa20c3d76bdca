import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SpillBudgets } from '../../gateway/spill-budget.ts';
import { budgetLeases } from '../overflow/leases.ts';
import { overflowSet } from '../overflow/set.ts';
import { endpointByToken, type PoolWorld, poolWorld } from '../pool/fixture.ts';
import { answerBudget, remoteBudgets } from './budgets.ts';
import { SnapshotFeed } from './feed.ts';
import { feedHandler } from './http.ts';

const BUDGET_MICROS = 1_000_000;
const quiet = { info: () => {}, warn: () => {}, error: () => {} };
let world: PoolWorld;
let endpointId: string;
let server: Server;
let url: string;

beforeAll(async () => {
  world = await poolWorld();
  const { control } = world;
  const tenant = await control.tenant();
  endpointId = (await control.endpoint(tenant.manager)).endpointId;
  await endpointByToken(control, tenant);
  const input = {
    endpointId,
    policy: 'spill' as const,
    targets: ['tokens'],
    budgetAmount: '1',
    budgetPeriod: 'day' as const,
  };
  await control.call(overflowSet, tenant.manager, input);
  const leases = budgetLeases({ db: control.store.db, now: () => control.nowMs });
  const unused = () => Promise.reject(new Error('Not asked for here.'));
  const handle = feedHandler({
    feed: new SnapshotFeed('a'),
    tokens: ['the-token'],
    storeReceipts: unused,
    report: unused,
    leases: unused,
    budgets: (body) => answerBudget(leases, body),
  });
  server = createServer((req, res) => void handle(req, res));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const purse = (token = 'the-token') => new SpillBudgets(remoteBudgets(url, token), () => world.control.nowMs, quiet);

test('gateways in other processes spend one budget together to the last part and no more, and give back what is left', async () => {
  const purses = [purse(), purse(), purse()];
  const holds = await Promise.allSettled(
    Array.from({ length: 45 }, (_, index) => purses[index % 3]!.hold(endpointId, 30_000, BUDGET_MICROS)),
  );
  const held = holds.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  expect(held).toHaveLength(33);
  for (const refused of holds.filter((one) => one.status === 'rejected')) {
    expect(refused.reason).toMatchObject({ code: 'payment_required', details: { because: 'budget_used_up' } });
  }
  // They cost a third of what was held.
  for (const [index, hold] of held.entries()) purses[index % 3]!.settle(hold, 10_000);
  await Promise.all(purses.map((one) => one.close()));
  const leftMicros = BUDGET_MICROS - held.length * 10_000;
  await expect(purse().hold(endpointId, leftMicros + 1, BUDGET_MICROS)).rejects.toThrow(/used up/);
  expect(await purse().hold(endpointId, leftMicros, BUDGET_MICROS)).toMatchObject({ micros: leftMicros });
});

test('without the token, with nonsense, and without the control plane nothing that costs money is let through', async () => {
  const unknown = { code: 'payment_required', details: { because: 'budget_unknown' } };
  await expect(purse('another').hold(endpointId, 1, BUDGET_MICROS)).rejects.toMatchObject(unknown);
  const nothing = budgetLeases({ db: world.control.store.db, now: () => world.control.nowMs });
  for (const body of [null, {}, { endpointId }, { endpointId, takeMicros: -1 }, { endpointId, giveBackMicros: 1 }]) {
    await expect(answerBudget(nothing, body)).rejects.toMatchObject({ code: 'invalid_request' });
  }
  const away = new SpillBudgets(remoteBudgets('http://127.0.0.1:1', 'the-token'), () => world.control.nowMs, quiet);
  await expect(away.hold(endpointId, 1, BUDGET_MICROS)).rejects.toMatchObject(unknown);
});
