import { expect, test } from 'vitest';
import { testDatabase } from '../../store/fixture.ts';
import { checkLedger } from '../../store/ledger.ts';
import { openStore } from '../../store/store.ts';
import { agreementAccept } from '../agreement/accept.ts';
import { applicationApprove } from '../application/approve.ts';
import { applicationRefuse } from '../application/refuse.ts';
import { OPERATOR, START_MS, TestControl } from '../fixture.ts';
import { orderNew } from '../order/new.ts';
import { orderResize } from '../order/resize.ts';
import { quotaApply } from './apply.ts';
import { quotaList } from './list.ts';
import { quotaSet } from './set.ts';

/** Two control planes that share one PostgreSQL and sell against one quota. */
const ROUNDS = 4;
const TEMPLATE = { templateId: 'alpha-local' };

async function twoControls(quotaUnits: number): Promise<[TestControl, TestControl]> {
  const database = await testDatabase();
  const controls = [new TestControl(await openStore(database)), new TestControl(await openStore(database))] as const;
  for (const control of controls) {
    control.fleet.slots = 1000;
    control.deps = { ...control.deps, policy: { access: 'open', quotaUnits } };
  }
  return [...controls];
}

async function close(...controls: TestControl[]): Promise<void> {
  expect(await checkLedger(controls[0]!.store.db)).toMatchObject({ balanced: true, problems: [] });
  for (const control of controls) await control.store.close();
}

async function codesOf(calls: readonly Promise<unknown>[]): Promise<string[]> {
  const ends = await Promise.allSettled(calls);
  return ends.map((end) => (end.status === 'fulfilled' ? 'done' : (end.reason as { code: string }).code)).toSorted();
}

async function used(control: TestControl, tenantId: string): Promise<number | undefined> {
  return (await control.call(quotaList, OPERATOR, { tenantId, ...TEMPLATE })).items[0]?.usedUnits;
}

test('orders for several endpoints at once fill the quota and never pass it', async () => {
  const [a, b] = await twoControls(9);
  for (let round = 0; round < ROUNDS; round++) {
    const { manager, tenantId } = await a.tenant('100000');
    const endpoints = [await a.endpoint(manager, 1, 'one'), await a.endpoint(manager, 1, 'two')];
    const calls = Array.from({ length: 8 }, (_, i) => {
      const { endpointId } = endpoints[Math.floor(i / 2) % 2]!;
      return (i % 2 === 0 ? a : b).call(orderNew, manager, { endpointId, units: 2 });
    });
    expect(await codesOf(calls)).toEqual([...Array(3).fill('done'), ...Array(5).fill('quota_exceeded')]);
    expect(await used(a, tenantId)).toBe(8);
  }
  await close(a, b);
});

test('endpoints that are made at once share the quota too', async () => {
  const [a, b] = await twoControls(3);
  const { manager, tenantId } = await a.tenant('100000');
  const made = [a, b, a, b].map((control, i) => control.endpoint(manager, 2, `e-${i}`));
  expect(await codesOf(made)).toEqual(['done', ...Array(3).fill('quota_exceeded')]);
  expect(await used(b, tenantId)).toBe(2);
  await close(a, b);
});

test('a group that grows and one that is ordered: what does not fit together is refused once', async () => {
  const [a, b] = await twoControls(4);
  for (let round = 0; round < ROUNDS; round++) {
    const { manager, tenantId } = await a.tenant('100000');
    const { groups, endpointId } = await a.endpoint(manager, 2);
    await a.provisioned();
    const grow = () => b.call(orderResize, manager, { groupId: groups[0]!.groupId, units: 4 });
    const order = () => a.call(orderNew, manager, { endpointId, units: 2 });
    const ends = await codesOf(round % 2 === 0 ? [grow(), order()] : [order(), grow()]);
    expect(ends).toEqual(['done', 'quota_exceeded']);
    expect(await used(a, tenantId)).toBe(4);
  }
  await close(a, b);
});

test('a quota that is lowered to nothing while orders come lets none in after it', async () => {
  const [a, b] = await twoControls(100);
  const { manager, tenantId } = await a.tenant('100000');
  const { endpointId } = await a.endpoint(manager);
  const order = (control: TestControl) => control.call(orderNew, manager, { endpointId, units: 1 });
  const lowered = b.call(quotaSet, OPERATOR, { ...TEMPLATE, tenantId, units: 0 });
  const ends = await codesOf([order(a), order(b), lowered, order(a), order(b)]);
  expect(ends.every((code) => code === 'done' || code === 'quota_exceeded')).toBe(true);
  await lowered;
  expect(await codesOf([order(a), order(b)])).toEqual(['quota_exceeded', 'quota_exceeded']);
  expect(await used(a, tenantId)).toBe(ends.filter((code) => code === 'done').length);
  await close(a, b);
});

test('of several that apply and decide at once one of each counts', async () => {
  const [a, b] = await twoControls(4);
  for (let round = 0; round < ROUNDS; round++) {
    const { manager, tenantId } = await a.tenant();
    const wanted = { ...TEMPLATE, units: 9, reason: 'a launch' };
    const applied = [a, b, a, b].map((control) => control.call(quotaApply, manager, wanted));
    expect(await codesOf(applied)).toEqual([...Array(3).fill('conflict'), 'done']);
    const { applicationId } = (await Promise.any(applied)) as { applicationId: string };
    const decided = [
      a.call(applicationApprove, OPERATOR, { applicationId }),
      b.call(applicationRefuse, OPERATOR, { applicationId, note: 'no' }),
    ];
    expect(await codesOf(decided)).toEqual(['done', 'invalid_transition']);
    const { items } = await a.call(quotaList, OPERATOR, { tenantId, ...TEMPLATE });
    const [approval] = await Promise.allSettled(decided);
    expect(items[0]?.limitUnits).toBe(approval?.status === 'fulfilled' ? 9 : 4);
  }
  await close(a, b);
});

test('an agreement that is accepted many times at once is kept once', async () => {
  const [a, b] = await twoControls(100);
  const agreement = { version: 'v1', title: 'T', validFromMs: START_MS, text: 'Pay.', sha256: 'f'.repeat(64) };
  for (const control of [a, b]) {
    control.deps = { ...control.deps, catalog: { ...control.deps.catalog, agreements: [agreement] } };
  }
  const { manager } = await a.tenant();
  const accepted = [a, b, a, b].map((control) => control.call(agreementAccept, manager, { version: 'v1' }));
  expect(await codesOf(accepted)).toEqual(Array(4).fill('done'));
  expect(await a.store.db.selectFrom('agreement_acceptances').selectAll().execute()).toHaveLength(1);
  await close(a, b);
});
