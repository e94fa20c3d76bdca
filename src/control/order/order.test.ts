import { describe, expect, test } from 'vitest';
import { endpointShow } from '../endpoint/show.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { groupList } from '../group/list.ts';
import { groupShow } from '../group/show.ts';
import { orderList } from './list.ts';
import { orderNew } from './new.ts';
import { orderResize } from './resize.ts';
import { orderShow } from './show.ts';
import { orderUnsubscribe } from './unsubscribe.ts';

async function activeGroup(units = 2) {
  const control = await testControl();
  const tenant = await control.tenant();
  const { endpointId, groups } = await control.endpoint(tenant.manager, units);
  await control.provisioned();
  return { control, ...tenant, endpointId, groupId: groups[0]!.groupId };
}

const segments = (control: Awaited<ReturnType<typeof testControl>>) =>
  control.store.db
    .selectFrom('group_segments')
    .select(['from_ms', 'units', 'hourly_price_micros', 'price_version'])
    .orderBy('from_ms')
    .execute();

describe('new', () => {
  test('another group on a served model', async () => {
    const { control, manager, endpointId } = await activeGroup();
    const placed = await control.call(orderNew, manager, { endpointId: 'chat', units: 3 });
    expect(placed).toMatchObject({
      order: { kind: 'new', state: 'provisioning', units: 3, endpointId, succeededAtMs: null },
      group: { state: 'provisioning', units: 3, billedFromMs: null },
    });
    expect(await control.call(orderShow, manager, { orderId: placed.order.orderId })).toEqual(placed.order);
    expect((await control.call(groupList, manager, { endpointId: 'chat' })).items).toHaveLength(2);
    expect(await control.call(endpointShow, manager, { endpointId })).toMatchObject({
      state: 'scaling',
      models: [{ units: 5, unitsReady: 2 }],
    });
  });

  test('the served model has to be one of the endpoint', async () => {
    const { control, manager } = await activeGroup();
    const input = { endpointId: 'chat', servedModelId: 'sm-other', units: 1 };
    const { details } = await refusal(control.call(orderNew, manager, input));
    expect(details['faults']).toMatchObject([{ field: 'servedModelId' }]);
  });

  test('is refused without money, and by the month only when prepaid', async () => {
    const control = await testControl();
    const { manager } = await control.tenant('4');
    await control.endpoint(manager);
    const order = (input: object) => control.call(orderNew, manager, { endpointId: 'chat', units: 2, ...input });
    expect(await refusal(order({}))).toMatchObject({ code: 'payment_required', details: { missing: '6.800000' } });
    expect((await refusal(order({ months: 1 }))).message).toContain('months');
  });

  test('money that is used already, and units that are bought already, pay for no others', async () => {
    const control = await testControl();
    const { manager } = await control.tenant('10.80');
    await control.endpoint(manager);
    await control.provisioned();
    const order = (units: number) => control.call(orderNew, manager, { endpointId: 'chat', units });
    expect((await refusal(order(3))).code).toBe('payment_required');
    control.nowMs += 1_000;
    expect(await refusal(order(2))).toMatchObject({
      code: 'payment_required',
      details: { needed: '10.800000', available: '10.799000', missing: '0.001000' },
    });
    expect(await order(1)).toMatchObject({ order: { state: 'provisioning' } });
    expect((await refusal(order(1))).code).toBe('payment_required');
  });
});

describe('resize', () => {
  test('down is at once: billing falls, the rest drains', async () => {
    const { control, manager, groupId } = await activeGroup(3);
    control.nowMs += 60_000;
    const { order, group } = await control.call(orderResize, manager, { groupId, units: 1 });
    expect(order).toMatchObject({ kind: 'resize', state: 'active', units: 1, succeededAtMs: control.nowMs });
    expect(group).toMatchObject({ state: 'active', units: 1 });
    expect((await segments(control)).slice(1)).toEqual([
      { from_ms: control.nowMs, units: 1, hourly_price_micros: 3_600_000n, price_version: '2026-04' },
    ]);
    await control.provisioner().reconcile();
    expect(Object.values(control.fleet.states()).sort()).toEqual(['draining', 'draining', 'ready']);
  });

  test('up is billed when all new units are ready', async () => {
    const { control, manager, groupId } = await activeGroup(1);
    control.nowMs += 60_000;
    const { order, group } = await control.call(orderResize, manager, { groupId, units: 3 });
    expect(order).toMatchObject({ state: 'provisioning', succeededAtMs: null });
    expect(group).toMatchObject({ state: 'resizing', units: 3, unitsReady: 1 });
    await control.provisioner().reconcile();
    expect(await segments(control)).toHaveLength(1);
    control.nowMs += 30_000;
    control.fleet.allReady();
    await control.provisioner().reconcile();
    expect(await control.call(groupShow, manager, { groupId })).toMatchObject({
      state: 'active',
      units: 3,
      unitsReady: 3,
    });
    expect((await segments(control)).at(-1)).toMatchObject({ from_ms: control.nowMs, units: 3 });
    expect(await control.call(orderShow, manager, { orderId: order.orderId })).toMatchObject({
      state: 'active',
      succeededAtMs: control.nowMs,
    });
    // 90 s of one unit, then 10 s of three.
    control.nowMs += 10_000;
    expect(await control.call(groupShow, manager, { groupId })).toMatchObject({
      billedSeconds: 100,
      billedUnitSeconds: 120,
      charge: { amount: '0.120000', currency: 'CNY' },
    });
  });

  test('down with a clock that was set back falls at the start of billing, not before', async () => {
    const { control, manager, groupId } = await activeGroup(3);
    const { billedFromMs } = await control.call(groupShow, OPERATOR, { groupId });
    await control.store.db
      .updateTable('instance_groups')
      .set({ billed_from_ms: billedFromMs! + 60_000 })
      .execute();
    await control.call(orderResize, manager, { groupId, units: 1 });
    expect((await segments(control)).at(-1)).toMatchObject({ from_ms: billedFromMs! + 60_000, units: 1 });
  });

  test('the same number, a foreign state, no money and no room are refused', async () => {
    const { control, manager, groupId } = await activeGroup(2);
    const resize = (units: number) => refusal(control.call(orderResize, manager, { groupId, units }));
    expect(await resize(2)).toMatchObject({ code: 'invalid_request', details: { faults: [{ field: 'units' }] } });
    expect(await resize(9)).toMatchObject({ code: 'capacity_exhausted', details: { freeUnits: 6 } });
    control.fleet.slots = 10_000;
    expect(await resize(1000)).toMatchObject({ code: 'payment_required' });
    await control.call(orderResize, manager, { groupId, units: 3 });
    expect((await resize(4)).code).toBe('invalid_transition');
    expect((await resize(1)).code).toBe('invalid_transition');
  });
});

describe('unsubscribe', () => {
  test('ends billing at once', async () => {
    const { control, manager, groupId } = await activeGroup(2);
    control.nowMs += 8_431_000;
    const { order, group } = await control.call(orderUnsubscribe, manager, { groupId });
    expect(order).toMatchObject({ kind: 'unsubscribe', state: 'active', units: 0, succeededAtMs: control.nowMs });
    expect(group).toMatchObject({ state: 'unsubscribed', endedAtMs: control.nowMs, unitsReady: 0 });
    control.nowMs += 3_600_000;
    expect(await control.call(groupShow, manager, { groupId })).toMatchObject({
      billedSeconds: 8_431,
      billedUnitSeconds: 16_862,
      charge: { amount: '16.862000' },
    });
  });

  test('before the units were ready nothing is billed and the order is cancelled', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const { groups } = await control.endpoint(manager);
    const { groupId } = groups[0]!;
    control.nowMs += 60_000;
    const { group } = await control.call(orderUnsubscribe, manager, { groupId });
    expect(group).toMatchObject({ state: 'unsubscribed', billedFromMs: null, billedSeconds: 0 });
    const { items } = await control.call(orderList, manager, { groupId });
    expect(items.map((order) => [order.kind, order.state]).sort()).toEqual([
      ['new', 'cancelled'],
      ['unsubscribe', 'active'],
    ]);
  });

  test('while it grows the old number is billed to the end', async () => {
    const { control, manager, groupId } = await activeGroup(1);
    await control.call(orderResize, manager, { groupId, units: 3 });
    control.nowMs += 10_000;
    const { group } = await control.call(orderUnsubscribe, manager, { groupId });
    expect(group).toMatchObject({ billedSeconds: 10, billedUnitSeconds: 10 });
    await control.provisioned();
    expect(await control.call(groupShow, manager, { groupId })).toMatchObject({
      state: 'unsubscribed',
      billedUnitSeconds: 10,
    });
  });

  test('is final, and of two at once one wins', async () => {
    const { control, manager, groupId } = await activeGroup(1);
    const both = await Promise.allSettled([
      control.call(orderUnsubscribe, manager, { groupId }),
      control.call(orderUnsubscribe, manager, { groupId }),
    ]);
    expect(both.map((one) => one.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await refusal(control.call(orderUnsubscribe, manager, { groupId }))).code).toBe('invalid_transition');
    expect((await refusal(control.call(orderResize, manager, { groupId, units: 2 }))).code).toBe('invalid_transition');
  });

  test('a clock that was set back never ends a group before it began', async () => {
    const { control, manager, groupId } = await activeGroup(1);
    const { billedFromMs } = await control.call(groupShow, OPERATOR, { groupId });
    control.nowMs -= 3_600_000;
    const { group } = await control.call(orderUnsubscribe, manager, { groupId });
    expect(group.endedAtMs).toBeGreaterThanOrEqual(billedFromMs!);
    control.nowMs += 7_200_000;
    expect(await control.call(groupShow, manager, { groupId })).toMatchObject({ billedSeconds: 1 });
  });
});
