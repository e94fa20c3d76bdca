import { expect, test } from 'vitest';
import { ruleRemove } from '../control/elastic/remove.ts';
import { ruleSet } from '../control/elastic/set.ts';
import { ruleShow } from '../control/elastic/show.ts';
import { endpointCreate } from '../control/endpoint/create.ts';
import { OPERATOR, refusal, START_MS, testControl } from '../control/fixture.ts';
import { groupShow } from '../control/group/show.ts';
import { noticeList } from '../control/notice/list.ts';
import { orderNew } from '../control/order/new.ts';
import { orderUnsubscribe } from '../control/order/unsubscribe.ts';
import { elastic, RULE } from './fixture.ts';

test('load adds units, billed from ready to drained and not a second more', async () => {
  const { control, show, counts, added, decisions, load, pass, running } = await elastic(1);
  load.perUnit = 8;
  await pass(5);
  expect(await counts()).toMatchObject({ base: 1, starting: 2, ready: 0 });
  expect((await decisions())[0]).toMatchObject({ unitsBefore: 1, unitsAfter: 3, cause: 'need' });
  const before = await show();
  control.nowMs += 30_000;
  expect((await show()).billedUnitSeconds - before.billedUnitSeconds).toBe(30);
  load.perUnit = 1;
  control.fleet.allReady();
  await pass(5);
  expect(await counts()).toMatchObject({ base: 1, starting: 0, ready: 2 });
  const readyAtMs = control.nowMs;
  load.perUnit = 8;
  await pass(5);
  const neededAtMs = control.nowMs;
  load.perUnit = 0;
  // The decision to give back: after a minute without need, and half a minute of smoothing.
  while ((await counts()).ready > 0) await pass(5);
  const drainedAtMs = control.nowMs;
  expect(drainedAtMs - neededAtMs).toBeGreaterThanOrEqual(60_000);
  control.nowMs += 1_000;
  const atDrain = (await show()).billedUnitSeconds;
  control.nowMs += 100_000;
  expect((await show()).billedUnitSeconds - atDrain).toBe(100);
  const first = (await added()).at(-1)!;
  expect(first.readyAtMs).toBe(readyAtMs);
  expect(first.drainingAtMs).toBeGreaterThanOrEqual(neededAtMs + 60_000);
  expect((await decisions())[0]!.cause).toBe('idle');
  expect(running.size).toBeGreaterThan(0);
});

test('a draining unit is released when nothing runs on it, or its time is over', async () => {
  const { control, added, load, pass, counts, running, provisioner } = await elastic(1);
  load.perUnit = 8;
  await pass(5);
  control.fleet.allReady();
  load.perUnit = 0;
  await pass(200);
  expect(await counts()).toMatchObject({ ready: 0, draining: 0 });
  expect((await added()).every((unit) => unit.state === 'released')).toBe(true);

  load.perUnit = 8;
  await pass(5);
  control.fleet.allReady();
  await provisioner.reconcile();
  // Streams go on while scaling sees nothing that needs the units.
  const busy = (await added()).filter((unit) => unit.state === 'ready');
  const nothing = { perUnit: 0 };
  Object.assign(load, nothing);
  let drainingSinceMs = 0;
  for (let i = 0; i < 80; i++) {
    control.nowMs += 5_000;
    await pass(5);
    for (const unit of busy) running.set(unit.replicaId, 1);
    await provisioner.reconcile();
    const now = await added();
    const draining = now.find((unit) => unit.state === 'draining');
    if (draining !== undefined && drainingSinceMs === 0) drainingSinceMs = draining.drainingAtMs!;
  }
  expect((await counts()).draining).toBe(0);
});

test('draining units are taken back before new ones start', async () => {
  const { control, counts, load, pass, added, scaler, running } = await elastic(1);
  load.perUnit = 8;
  await pass(5);
  control.fleet.allReady();
  await pass(5);
  load.perUnit = 0;
  while ((await counts()).draining === 0) {
    control.nowMs += 5_000;
    await scaler.turn();
  }
  const launched = (await added()).length;
  load.perUnit = 8;
  while ((await counts()).draining > 0) {
    control.nowMs += 5_000;
    await scaler.turn();
  }
  expect((await counts()).ready).toBeGreaterThanOrEqual(2);
  expect(await added()).toHaveLength(launched);
  expect(running.size).toBeGreaterThan(1);
});

test('signals that are old change nothing', async () => {
  const { counts, load, pass, decisions } = await elastic(1);
  load.perUnit = 8;
  load.signalAgeMs = 16_000;
  await pass(60);
  expect(await counts()).toMatchObject({ starting: 0 });
  expect(await decisions()).toEqual([]);
});

test('one leader: a second scaler decides nothing while the first holds the lease', async () => {
  const { counts, load, pass, scalerOf } = await elastic(1);
  const second = scalerOf('two');
  await pass(5);
  load.perUnit = 8;
  await pass(5, second);
  expect(await counts()).toMatchObject({ starting: 0 });
  await pass(5);
  expect((await counts()).starting).toBeGreaterThan(0);
});

test('a start that fails is not tried again at once, and the tenant is told after three', async () => {
  const { control, load, pass, added, manager, groupId } = await elastic(1, { maxUnits: 2 });
  load.perUnit = 8;
  const tries = async () => (await added()).length;
  await pass(5);
  expect(await tries()).toBe(1);
  const failAll = () => {
    for (const { replicaId, state } of control.fleet.list())
      if (state === 'starting') control.fleet.become(replicaId, 'failed', 'out of memory');
  };
  failAll();
  await pass(5);
  expect(await tries()).toBe(1);
  for (let i = 0; i < 60; i++) {
    await pass(5);
    failAll();
  }
  // 10, 20, 40, 80 s … between tries.
  expect(await tries()).toBeGreaterThanOrEqual(4);
  expect(await tries()).toBeLessThanOrEqual(6);
  const { items } = await control.call(noticeList, manager, { kind: 'scaling_stuck' });
  expect(items[0]).toMatchObject({ subject: groupId, detail: { reason: 'out of memory' } });
});

test('the rule’s bounds hold: never above the maximum, never below the base', async () => {
  const { control, counts, load, pass } = await elastic(2, { maxUnits: 3 });
  load.perUnit = 8;
  load.queued = 100;
  await pass(10);
  control.fleet.allReady();
  await pass(300);
  expect(await counts()).toMatchObject({ base: 2, ready: 1, starting: 0 });
  load.perUnit = 0;
  load.queued = 0;
  await pass(600);
  expect(await counts()).toMatchObject({ base: 2, ready: 0 });
});

test('a lower minimum hands base units over without a stop; a higher one counts them as base again', async () => {
  const { control, manager, groupId, show, counts, provisioner, load, pass } = await elastic(3);
  load.perUnit = 8;
  const drains = control.fleet.drains.length;
  await control.call(ruleSet, manager, { groupId, ...RULE, minUnits: 1 });
  await provisioner.reconcile();
  expect(await counts()).toMatchObject({ base: 1, ready: 2 });
  const start = await show();
  control.nowMs += 10_000;
  expect((await show()).billedUnitSeconds - start.billedUnitSeconds).toBe(30);
  await control.call(ruleSet, manager, { groupId, ...RULE, minUnits: 2 });
  await provisioner.reconcile();
  await provisioner.reconcile();
  expect(await counts()).toMatchObject({ base: 2, ready: 1 });
  const raised = await show();
  control.nowMs += 10_000;
  expect((await show()).billedUnitSeconds - raised.billedUnitSeconds).toBe(30);
  expect(control.fleet.drains).toHaveLength(drains);
  await pass(5);
});

test('to zero and back: nothing is billed while nothing is there', async () => {
  const { control, manager, groupId, show, counts, provisioner, load, pass } = await elastic(1);
  await control.call(ruleSet, manager, { groupId, ...RULE, minUnits: 0 });
  await pass(200);
  control.fleet.allDrained();
  await provisioner.reconcile();
  expect(await counts()).toEqual({ base: 0, ready: 0, starting: 0, draining: 0 });
  const asleep = await show();
  control.nowMs += 3_600_000;
  expect((await show()).billedUnitSeconds).toBe(asleep.billedUnitSeconds);
  load.queued = 1;
  await pass(5);
  expect(await counts()).toMatchObject({ starting: 1 });
});

test('removing the rule drains what was added; unsubscribing ends all of it', async () => {
  const { control, manager, groupId, counts, load, pass, show, provisioner } = await elastic(1);
  load.perUnit = 8;
  await pass(5);
  control.fleet.allReady();
  await pass(5);
  await control.call(ruleRemove, manager, { groupId });
  expect((await refusal(counts())).code).toBe('not_found');
  control.nowMs += 1_000;
  const after = await show();
  control.nowMs += 10_000;
  expect((await show()).billedUnitSeconds - after.billedUnitSeconds).toBe(10);
  await control.call(orderUnsubscribe, manager, { groupId });
  await provisioner.reconcile();
  expect(
    await control.store.db.selectFrom('elastic_units').selectAll().where('ended_at_ms', 'is', null).execute(),
  ).toEqual([]);
});

test('a rule is refused with every fault, on a prepaid group, and beside another of the same model', async () => {
  const { control, manager, groupId, endpointId, provisioner } = await elastic(1);
  const set = (id: string, input: object) =>
    refusal(control.call(ruleSet, manager, { groupId: id, ...RULE, ...input }));
  const faulty = await set(groupId, { maxUnits: 2, minUnits: 3, zone: 'Mars/Olympus' });
  expect(faulty.code).toBe('invalid_request');
  expect(faulty.details['faults']).toMatchObject([{ field: 'maxUnits' }, { field: 'zone' }]);
  const second = await control.call(orderNew, manager, { endpointId, units: 1 });
  await control.provisioned(provisioner);
  expect((await set(second.group.groupId, {})).code).toBe('conflict');
  await control.call(ruleRemove, manager, { groupId });
  control.nowMs = START_MS + 3_600_000;
  expect((await control.call(ruleSet, manager, { groupId: second.group.groupId, ...RULE })).maxUnits).toBe(6);
});

test('an endpoint, its first group and its rule come in one order, all or nothing', async () => {
  const control = await testControl();
  const { manager } = await control.tenant();
  control.deps = { ...control.deps, policy: { ...control.deps.policy, quotaUnits: 2 } };
  const make = (name: string, model: object) =>
    control.call(endpointCreate, manager, { name, models: [{ modelId: 'alpha', ...model }] } as never);
  const faulty = await refusal(make('a', { units: 2, elastic: { maxUnits: 1 } }));
  expect(faulty.details['faults']).toMatchObject([{ field: 'elastic.maxUnits' }]);
  expect((await refusal(make('a', { units: 0 }))).details['faults']).toMatchObject([{ field: 'models.0.units' }]);
  const prepaid = { units: 1, billingType: 'prepaid', months: 1, elastic: { maxUnits: 2 } };
  expect((await refusal(make('a', prepaid))).details['faults']).toMatchObject([{ field: 'models.0.elastic' }]);
  expect((await refusal(make('a', { units: 1, elastic: { maxUnits: 3 } }))).code).toBe('quota_exceeded');
  expect(await control.store.db.selectFrom('endpoints').selectAll().execute()).toEqual([]);

  const { groups } = await make('a', { units: 0, elastic: { maxUnits: 2, scaleInAfterMs: 60_000 } });
  const { groupId } = groups[0]!;
  await control.provisioned();
  expect(await control.call(groupShow, OPERATOR, { groupId })).toMatchObject({ state: 'active', units: 0 });
  expect(await control.call(ruleShow, OPERATOR, { groupId })).toMatchObject({
    minUnits: 0,
    maxUnits: 2,
    zone: 'Asia/Shanghai',
  });
});
