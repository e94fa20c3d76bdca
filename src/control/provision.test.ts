import { afterEach, describe, expect, test, vi } from 'vitest';
import { auditList } from './audit/list.ts';
import { newId } from './call.ts';
import { endpointCreate } from './endpoint/create.ts';
import { endpointShow } from './endpoint/show.ts';
import { DRAIN_MS, FakeFleet, OPERATOR, refusal, START_MS, testControl } from './fixture.ts';
import { groupShow } from './group/show.ts';
import { orderList } from './order/list.ts';
import { orderResize } from './order/resize.ts';
import { orderUnsubscribe } from './order/unsubscribe.ts';
import { startProvisioner } from './provision.ts';
import { groupIdOf } from './units.ts';

async function ordered(units = 2) {
  const control = await testControl();
  const { manager } = await control.tenant();
  const { groups } = await control.endpoint(manager, units);
  const { groupId } = groups[0]!;
  const show = () => control.call(groupShow, OPERATOR, { groupId });
  const order = async () => (await control.call(orderList, OPERATOR, { groupId })).items[0]!;
  return { control, manager, groupId, show, order };
}

describe('a new group', () => {
  test('is active and billed from the instant that all its units are ready', async () => {
    const { control, show, order, groupId } = await ordered(2);
    const provisioner = control.provisioner();
    await provisioner.reconcile();
    const ids = Object.keys(control.fleet.states());
    expect(ids).toEqual([0, 1].map((unit) => `rep-${groupId.slice(3)}-${unit}`));
    control.nowMs += 5_000;
    control.fleet.become(ids[0]!, 'ready');
    await provisioner.reconcile();
    expect(await show()).toMatchObject({ state: 'provisioning', unitsReady: 1, billedFromMs: null });
    control.nowMs += 5_000;
    control.fleet.become(ids[1]!, 'ready');
    const changes = control.changes;
    await provisioner.reconcile();
    expect(await show()).toMatchObject({ state: 'active', billedFromMs: START_MS + 10_000, billedSeconds: 0 });
    expect(await order()).toMatchObject({ state: 'active', succeededAtMs: START_MS + 10_000, failure: null });
    expect(control.changes).toBe(changes + 1);
    const { orderId } = await order();
    const audits = await control.call(auditList, OPERATOR, { subject: orderId });
    expect(audits.items).toMatchObject([{ verb: 'order.succeed', actor: 'system:provisioner' }]);
  });

  test('another pass changes nothing', async () => {
    const { control, show } = await ordered();
    const provisioner = control.provisioner();
    await control.provisioned(provisioner);
    const before = { group: await show(), changes: control.changes, states: control.fleet.states() };
    await provisioner.reconcile();
    expect({ group: await show(), changes: control.changes, states: control.fleet.states() }).toEqual(before);
  });

  test('fails when a unit gives up: nothing is billed, the others are taken back', async () => {
    const { control, show, order } = await ordered(2);
    const provisioner = control.provisioner();
    await provisioner.reconcile();
    const [first, second] = Object.keys(control.fleet.states()) as [string, string];
    control.fleet.become(first, 'ready');
    control.fleet.become(second, 'failed', 'out of memory');
    await provisioner.reconcile();
    expect(await order()).toMatchObject({ state: 'failed', succeededAtMs: null });
    expect((await order()).failure).toContain('out of memory');
    control.nowMs += 3_600_000;
    expect(await show()).toMatchObject({ state: 'failed', billedFromMs: null, charge: { amount: '0.000000' } });
    await provisioner.reconcile();
    expect(control.fleet.states()).toEqual({ [first]: 'draining', [second]: 'stopped' });
  });

  test('fails at the deadline, which a clock jump does not move', async () => {
    const { control, order } = await ordered(1);
    let monotonicMs = 0;
    const provisioner = control.provisioner({ provisionMsMax: 60_000, monotonicMs: () => monotonicMs });
    await provisioner.reconcile();
    control.nowMs += 86_400_000;
    monotonicMs = 59_999;
    await provisioner.reconcile();
    expect(await order()).toMatchObject({ state: 'provisioning' });
    monotonicMs = 60_000;
    await provisioner.reconcile();
    expect(await order()).toMatchObject({ state: 'failed', failure: 'The units were not ready within 60 seconds.' });
  });

  test('waits a while for a fleet that refuses, then fails with its reason', async () => {
    const { control, order } = await ordered(1);
    const provisioner = control.provisioner({ refusalMs: 30_000 });
    control.fleet.slots = 0;
    await provisioner.reconcile();
    control.nowMs += 29_999;
    await provisioner.reconcile();
    expect(await order()).toMatchObject({ state: 'provisioning' });
    control.nowMs += 1;
    await provisioner.reconcile();
    expect(await order()).toMatchObject({ state: 'failed', failure: 'No worker is free.' });
  });
});

describe('restart', () => {
  test('an active group is started again and not billed anew', async () => {
    const { control, show } = await ordered(2);
    await control.provisioned();
    const before = await show();
    const ids = Object.keys(control.fleet.states());
    const fleet = new FakeFleet(() => control.nowMs);
    control.nowMs += 600_000;
    const provisioner = control.provisioner({ fleet });
    await provisioner.reconcile();
    expect(fleet.states()).toEqual(Object.fromEntries(ids.map((id) => [id, 'starting'])));
    fleet.allReady();
    await provisioner.reconcile();
    expect(await show()).toMatchObject({ state: 'active', billedFromMs: before.billedFromMs, billedSeconds: 600 });
    expect(await control.store.db.selectFrom('group_segments').selectAll().execute()).toHaveLength(1);
  });

  test('an order under way goes on, with a deadline of its own', async () => {
    const { control, order, show } = await ordered(1);
    await control.provisioner().reconcile();
    control.nowMs += 7 * 86_400_000;
    const fleet = new FakeFleet(() => control.nowMs);
    const provisioner = control.provisioner({ fleet });
    await provisioner.reconcile();
    expect(await order()).toMatchObject({ state: 'provisioning' });
    fleet.allReady();
    await provisioner.reconcile();
    expect(await show()).toMatchObject({ state: 'active', billedFromMs: control.nowMs });
  });
});

describe('resize', () => {
  test('up that fails goes on with the units that are paid', async () => {
    const { control, manager, groupId, show, order } = await ordered(1);
    const provisioner = control.provisioner();
    await control.provisioned(provisioner);
    control.nowMs += 1_000;
    await control.call(orderResize, manager, { groupId, units: 2 });
    await provisioner.reconcile();
    const added = control.fleet.list().find((replica) => replica.state === 'starting')!;
    control.fleet.become(added.replicaId, 'failed', 'no luck');
    await provisioner.reconcile();
    expect(await order()).toMatchObject({ kind: 'resize', state: 'failed' });
    control.nowMs += 9_000;
    expect(await show()).toMatchObject({ state: 'active', units: 1, unitsReady: 1, billedUnitSeconds: 10 });
    await provisioner.reconcile();
    expect(control.fleet.states()[added.replicaId]).toBe('stopped');
  });

  test('up after down waits for the drain of the unit that it takes again', async () => {
    const { control, manager, groupId, show } = await ordered(2);
    const provisioner = control.provisioner();
    await control.provisioned(provisioner);
    control.nowMs += 1_000;
    await control.call(orderResize, manager, { groupId, units: 1 });
    await provisioner.reconcile();
    expect(control.fleet.drains).toEqual([{ replicaId: `rep-${groupId.slice(3)}-1`, drainMs: DRAIN_MS }]);
    control.nowMs += 1_000;
    await control.call(orderResize, manager, { groupId, units: 2 });
    await provisioner.reconcile();
    expect(await show()).toMatchObject({ state: 'resizing', unitsReady: 1 });
    control.fleet.allDrained();
    await control.provisioned(provisioner);
    expect(await show()).toMatchObject({ state: 'active', units: 2, unitsReady: 2 });
  });
});

test('unsubscribed units are drained, once', async () => {
  const { control, manager, groupId } = await ordered(2);
  const provisioner = control.provisioner();
  await control.provisioned(provisioner);
  await control.call(orderUnsubscribe, manager, { groupId });
  await provisioner.reconcile();
  await provisioner.reconcile();
  expect(control.fleet.drains).toHaveLength(2);
  expect(Object.values(control.fleet.states())).toEqual(['draining', 'draining']);
  control.fleet.allDrained();
  await provisioner.reconcile();
  expect(Object.values(control.fleet.states())).toEqual(['stopped', 'stopped']);
});

test('a paid unit that gave up is started anew, at growing intervals', async () => {
  const { control, show } = await ordered(1);
  const provisioner = control.provisioner();
  await control.provisioned(provisioner);
  const [id] = Object.keys(control.fleet.states()) as [string];
  const { billedFromMs } = await show();
  const triesIn = async (seconds: number) => {
    const before = control.fleet.drains.length;
    for (let i = 0; i < seconds; i++) {
      control.nowMs += 1_000;
      if (control.fleet.states()[id] === 'starting') control.fleet.become(id, 'failed', 'crashed');
      await provisioner.reconcile();
    }
    return control.fleet.drains.length - before;
  };
  control.fleet.become(id, 'failed', 'crashed');
  expect(await control.call(endpointShow, OPERATOR, { endpointId: (await show()).endpointId })).toMatchObject({
    state: 'degraded',
  });
  expect(await triesIn(60)).toBeLessThanOrEqual(5);
  expect(await show()).toMatchObject({ state: 'active', billedFromMs });
  control.nowMs += 300_000;
  await provisioner.reconcile();
  await control.provisioned(provisioner);
  expect(await show()).toMatchObject({ unitsReady: 1 });
});

describe('the loop', () => {
  afterEach(() => vi.useRealTimers());

  test('runs on changes of the fleet and outlives an error', async () => {
    const { control, show } = await ordered(1);
    const { db, catalog, fleet, log, now, changed } = control.deps;
    let broken = true;
    const flaky = {
      ...control.deps,
      db: new Proxy(db, {
        get(target, name, receiver) {
          if (name === 'selectFrom' && broken) {
            broken = false;
            throw new Error('the disk hiccuped');
          }
          const value: unknown = Reflect.get(target, name, receiver === flaky.db ? target : receiver);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
    };
    const loop = startProvisioner({ db: flaky.db, catalog, fleet, log, now, changed, newId, drainMs: DRAIN_MS });
    await vi.waitFor(() => expect(control.fleet.list()).toHaveLength(1), 3_000);
    expect(control.errors).toMatchObject([{ fields: { err: { message: 'the disk hiccuped' } } }]);
    control.fleet.allReady();
    await vi.waitFor(async () => expect(await show()).toMatchObject({ state: 'active' }), 3_000);
    await loop.stop();
    control.fleet.become(control.fleet.list()[0]!.replicaId, 'failed');
    expect(control.fleet.drains).toEqual([]);
  });
});

describe('units of two machines', () => {
  async function pair(units = 1) {
    const control = await testControl();
    const { manager } = await control.tenant();
    const models = [{ modelId: 'alpha', templateId: 'alpha-pair', units }];
    const { groups } = await control.call(endpointCreate, manager, { name: 'pair', models });
    const { groupId } = groups[0]!;
    const show = () => control.call(groupShow, OPERATOR, { groupId });
    const id = (unit: number, role: string) => `rep-${groupId.slice(3)}-${unit}-${role}`;
    return { control, manager, groupId, show, id, provisioner: control.provisioner() };
  }

  test('are ready and billed when both are', async () => {
    const { control, show, id, provisioner, groupId } = await pair();
    await provisioner.reconcile();
    expect(control.fleet.list().map(({ replicaId, role }) => [replicaId, role])).toEqual([
      [id(0, 'prefill'), 'prefill'],
      [id(0, 'decode'), 'decode'],
    ]);
    expect(groupIdOf(id(0, 'decode'))).toBe(groupId);
    control.fleet.become(id(0, 'prefill'), 'ready');
    await provisioner.reconcile();
    expect(await show()).toMatchObject({ state: 'provisioning', unitsReady: 0, billedFromMs: null });
    control.nowMs += 5_000;
    control.fleet.become(id(0, 'decode'), 'ready');
    await provisioner.reconcile();
    expect(await show()).toMatchObject({ state: 'active', unitsReady: 1, billedFromMs: START_MS + 5_000 });
  });

  test('are taken back together, when one of them gives up and when the group shrinks', async () => {
    const failed = await pair();
    await failed.provisioner.reconcile();
    failed.control.fleet.become(failed.id(0, 'prefill'), 'ready');
    failed.control.fleet.become(failed.id(0, 'decode'), 'failed', 'out of memory');
    await failed.provisioner.reconcile();
    await failed.provisioner.reconcile();
    expect((await failed.show()).state).toBe('failed');
    expect(failed.control.fleet.drains.map(({ replicaId }) => replicaId).toSorted()).toEqual(
      [failed.id(0, 'prefill'), failed.id(0, 'decode')].toSorted(),
    );
    const { control, manager, groupId, id, provisioner } = await pair(2);
    await control.provisioned(provisioner);
    await control.call(orderResize, manager, { groupId, units: 1 });
    await provisioner.reconcile();
    expect(control.fleet.drains.map(({ replicaId }) => replicaId).toSorted()).toEqual(
      [id(1, 'prefill'), id(1, 'decode')].toSorted(),
    );
  });

  test('take two places each on the machines', async () => {
    const { control, manager, groupId, provisioner } = await pair(2);
    await control.provisioned(provisioner);
    control.fleet.slots = 7;
    const answer = await refusal(control.call(orderResize, manager, { groupId, units: 4 }));
    expect(answer).toMatchObject({ code: 'capacity_exhausted', details: { freeUnits: 1 } });
  });
});
