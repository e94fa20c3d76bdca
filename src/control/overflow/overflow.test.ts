import { beforeAll, expect, test } from 'vitest';
import type { OverflowSnapshot } from '../../gateway/overflow-snapshot.ts';
import { upstreamKey } from '../../gateway/overflow-snapshot.ts';
import { endpointKey } from '../../gateway/snapshot.ts';
import { insertReceipts } from '../../store/receipts.ts';
import { endpointDelete } from '../endpoint/delete.ts';
import { endpointUpdate } from '../endpoint/update.ts';
import type { TestTenant } from '../fixture.ts';
import { endpointByToken, type PoolWorld, poolWorld } from '../pool/fixture.ts';
import { buildSnapshot } from '../snapshot.ts';
import { StartupTimes } from '../startup-times.ts';
import { upstreamCreate } from '../upstream/create.ts';
import { upstreamList } from '../upstream/list.ts';
import { upstreamRemove } from '../upstream/remove.ts';
import { receipt } from '../usage/fixture.ts';
import { usageList } from '../usage/list.ts';
import { budgetLeases } from './leases.ts';
import { overflowSet } from './set.ts';
import { overflowShow } from './show.ts';

let world: PoolWorld;
let tenant: TestTenant;
let endpointId: string;
let tokensId: string;
const PAID = { name: 'paid', baseUrl: 'https://api.example.com/v1', model: 'm', inputPrice: '1', outputPrice: '4' };

beforeAll(async () => {
  world = await poolWorld();
  tenant = await world.control.tenant();
  endpointId = (await world.control.endpoint(tenant.manager)).endpointId;
  tokensId = (await endpointByToken(world.control, tenant)).endpointId;
});

const set = (input: object) => world.control.call(overflowSet, tenant.manager, { endpointId, ...input });
const show = () => world.control.call(overflowShow, tenant.manager, { endpointId });
const leases = () => budgetLeases({ db: world.control.store.db, now: () => world.control.nowMs });

async function snapshotOf() {
  const { deps } = world.control;
  const { endpoints } = await buildSnapshot({ ...deps, graceServes: true }, 1, new StartupTimes());
  return {
    endpoints,
    overflow: endpoints.get(endpointKey(tenant.tenantId, endpointId))?.overflow as OverflowSnapshot,
  };
}

test('spilling needs a target, and a budget where a target costs money', async () => {
  const update = world.control.call(endpointUpdate, tenant.manager, { endpointId, overflowPolicy: 'spill' });
  await expect(update).rejects.toThrow(/overflow set/);
  await expect(set({ policy: 'spill' })).rejects.toThrow(/say where to/);
  await expect(set({ policy: 'spill', targets: ['tokens'] })).rejects.toThrow(/costs money/);
  await expect(set({ targets: [endpointId] })).rejects.toThrow(/itself/);
  await expect(set({ targets: ['tokens', tokensId] })).rejects.toThrow(/twice/);
  await expect(set({ budgetPeriod: 'day' })).rejects.toThrow(/how much/);
  await expect(set({ budgetAmount: '-1' })).rejects.toThrow(/0 or more/);
  expect(await show()).toMatchObject({ policy: 'queue', allow: ['queue', 'reject'], targets: [], budget: null });
});

test('another tenant’s endpoint or upstream is no target', async () => {
  const other = await world.control.tenant();
  const { upstreamId } = await world.control.call(upstreamCreate, other.manager, PAID);
  const { endpointId: theirs } = await endpointByToken(world.control, other, 'theirs');
  for (const target of [upstreamId, theirs, 'theirs']) {
    await expect(set({ targets: [target] })).rejects.toThrow(/no endpoint and no upstream/);
  }
  const removed = world.control.call(upstreamRemove, tenant.manager, { upstreamId });
  await expect(removed).rejects.toThrow(/There is no upstream/);
});

test.each([
  ...['http://127.0.0.2/v1', 'http://169.254.169.254/', 'http://[::1]/', 'https://u:p@api.example.com/v1', 'ftp://x/'],
  'https://api.example.com/v1?key=1',
])('%s is refused as an upstream', async (baseUrl) => {
  await expect(world.control.call(upstreamCreate, tenant.manager, { ...PAID, baseUrl })).rejects.toThrow(/baseUrl/);
});

test('the gateway gets targets in order with their prices, and the secret is shown to nobody', async () => {
  const upstream = await world.control.call(upstreamCreate, tenant.manager, { ...PAID, secret: 'sk-of-somebody' });
  const { upstreamId } = upstream;
  await set({ policy: 'spill', targets: ['tokens', upstreamId], budgetAmount: '2', budgetPeriod: 'day' });
  const { overflow, endpoints } = await snapshotOf();
  expect(overflow).toMatchObject({
    policy: 'spill',
    allowed: ['spill', 'reject'],
    budgetMicros: 2_000_000,
    targets: [
      { targetId: tokensId, endpointKey: endpointKey(tenant.tenantId, tokensId) },
      { targetId: upstreamId, price: { inputMicros: 1_000_000, cachedMicros: 1_000_000, outputMicros: 4_000_000 } },
    ],
  });
  expect(overflow.targets[0]?.price?.outputMicros).toBeGreaterThan(0);
  const address = endpoints.get(upstreamKey(upstreamId))?.servedModels[0]?.replicas[0]?.address;
  expect(address).toMatchObject({ apiKey: 'sk-of-somebody', publicOnly: true });
  const listed = await world.control.call(upstreamList, tenant.manager, {});
  expect(JSON.stringify([upstream, listed, await show()])).not.toContain('sk-of-somebody');
  expect(listed.items).toMatchObject([{ upstreamId, hasSecret: true }]);
});

test('a target that is gone is named as gone', async () => {
  const { upstreamId } = await world.control.call(upstreamCreate, tenant.manager, { ...PAID, secret: 'sk-x' });
  const spare = await endpointByToken(world.control, tenant, 'spare');
  await set({ targets: [upstreamId, spare.endpointId, 'tokens'] });
  await world.control.call(upstreamRemove, tenant.manager, { upstreamId });
  await world.control.call(endpointDelete, tenant.manager, { endpointId: spare.endpointId });
  expect((await show()).targets.map(({ name }) => name)).toEqual([null, null, 'tokens']);
  const { endpoints, overflow } = await snapshotOf();
  expect(overflow.targets.map((one) => endpoints.has(one.endpointKey))).toEqual([false, false, true]);
  const kept = await world.control.store.db
    .selectFrom('upstreams')
    .select('api_key')
    .where('id', '=', upstreamId)
    .execute();
  expect(kept).toEqual([{ api_key: null }]);
});

test('leases never sum to more than the budget, survive a restart, and begin anew with the period', async () => {
  await set({ policy: 'spill', targets: ['tokens'], budgetAmount: '1', budgetPeriod: 'day' });
  const taken = await Promise.all(Array.from({ length: 20 }, () => leases().lease(endpointId, 90_000)));
  const granted = taken.filter(({ micros }) => micros > 0);
  expect(granted).toHaveLength(11);
  expect(granted.every(({ micros }) => micros === 90_000)).toBe(true);
  expect((await show()).budget).toMatchObject({ state: 'stopped', taken: { amount: '0.990000' } });
  // What fits still does; a gateway that gives back opens it again.
  expect((await leases().lease(endpointId, 10_000)).micros).toBe(10_000);
  await leases().giveBack(endpointId, granted[0]!.periodStartMs, 90_000);
  expect((await leases().lease(endpointId, 1)).micros).toBe(20_000);
  expect((await show()).budget).toMatchObject({ state: 'open' });
  world.control.nowMs = granted[0]!.periodEndMs;
  expect((await leases().lease(endpointId, 1_000_000)).micros).toBe(1_000_000);
  await set({ budgetAmount: '0' });
  expect((await leases().lease(endpointId, 1)).micros).toBe(0);
  expect((await show()).budget).toMatchObject({ state: 'stopped', amount: { amount: '0.000000' } });
});

test('receipts keep where a request went, and the budget shows what they cost', async () => {
  const spill = { fromEndpointId: endpointId, targetId: 'up-1', reason: 'no_capacity', costMicros: 1_234 };
  const of = { tenantId: tenant.tenantId, receivedAtMs: world.control.nowMs };
  await insertReceipts(world.control.store.db, [
    receipt(1, { ...of, spill }),
    receipt(2, of),
    receipt(3, { ...of, spill }),
  ]);
  const { items } = await world.control.call(usageList, tenant.manager, {});
  expect(items.filter((one) => one.spill !== null)).toMatchObject([{ spill }, { spill }]);
  expect((await show()).budget?.spent.amount).toBe('0.002468');
});
