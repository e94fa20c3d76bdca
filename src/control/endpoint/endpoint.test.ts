import { describe, expect, test } from 'vitest';
import { auditList } from '../audit/list.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { orderList } from '../order/list.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { endpointCreate } from './create.ts';
import { endpointDelete } from './delete.ts';
import { endpointList } from './list.ts';
import { endpointShow } from './show.ts';
import { endpointState } from './state.ts';
import { endpointUpdate } from './update.ts';

const alpha = { modelId: 'alpha', units: 1 };
const beta = { modelId: 'beta', units: 2 };

describe('create', () => {
  test('an endpoint, its models, groups and orders come together', async () => {
    const control = await testControl();
    const { manager, tenantId } = await control.tenant();
    const models = [
      { ...alpha, trafficPercent: 70, coefficient: 2 },
      { ...beta, trafficPercent: 30 },
    ];
    const made = await control.call(endpointCreate, manager, { name: 'chat', models });
    expect(made).toMatchObject({
      tenantId,
      name: 'chat',
      state: 'creating',
      accessMode: 'model_units',
      overflowPolicy: 'queue',
      maxWaitMs: 10_000,
      models: [
        { modelId: 'alpha', templateId: 'alpha-local', coefficient: 2, trafficPercent: 70, units: 1, unitsReady: 0 },
        { modelId: 'beta', templateId: 'beta-local', coefficient: 1, trafficPercent: 30, units: 2, unitsReady: 0 },
      ],
    });
    expect(
      made.groups.map((group) => [group.state, group.units, group.hourlyPrice?.amount, group.billedFromMs]),
    ).toEqual(
      expect.arrayContaining([
        ['provisioning', 1, '3.600000', null],
        ['provisioning', 2, '1.800000', null],
      ]),
    );
    const { items } = await control.call(orderList, manager, {});
    expect(items).toMatchObject([{ state: 'provisioning' }, { state: 'provisioning' }]);
    expect(control.changes).toBeGreaterThan(0);
    const audits = await control.call(auditList, manager, { subject: made.endpointId });
    expect(audits.items).toMatchObject([{ verb: 'endpoint.create', detail: { name: 'chat' } }]);
  });

  test('all or nothing: what cannot be ordered leaves nothing behind', async () => {
    const control = await testControl();
    const { manager } = await control.tenant('5');
    const models = [
      { ...alpha, trafficPercent: 50 },
      { ...beta, trafficPercent: 50 },
    ];
    const answer = await refusal(control.call(endpointCreate, manager, { name: 'chat', models }));
    expect(answer).toMatchObject({
      code: 'payment_required',
      details: { needed: '7.200000', available: '5.000000', missing: '2.200000', currency: 'CNY' },
    });
    for (const table of ['endpoints', 'served_models', 'orders', 'instance_groups', 'group_segments'] as const) {
      expect(await control.store.db.selectFrom(table).selectAll().execute(), table).toEqual([]);
    }
    const audits = await control.call(auditList, manager, { verb: 'endpoint.create' });
    expect(audits.items).toEqual([]);
  });

  test('a wallet with exactly one hour is enough', async () => {
    const control = await testControl();
    const { manager } = await control.tenant('3.60');
    expect(await control.endpoint(manager)).toMatchObject({ state: 'creating' });
  });

  test('units have to fit, those that are sold but not started included', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    control.fleet.slots = 3;
    await control.endpoint(manager, 2);
    const answer = await refusal(control.endpoint(manager, 2, 'more'));
    expect(answer).toMatchObject({ code: 'capacity_exhausted', details: { freeUnits: 1 } });
    expect(answer.message).toContain('3 workers on this machine');
    await control.provisioned();
    expect(await control.endpoint(manager, 1, 'more')).toMatchObject({ state: 'creating' });
  });

  test.each([
    ['an unknown model', [{ modelId: 'delta', units: 1 }], 'models.0.modelId'],
    ['a model without a template', [{ modelId: 'gamma', units: 1 }], 'models.0.modelId'],
    ['a template of another model', [{ ...alpha, templateId: 'beta-local' }], 'models.0.templateId'],
    ['a coefficient that is no tier', [{ ...alpha, coefficient: 1.3 }], 'models.0.coefficient'],
    ['a coefficient below 1', [{ ...alpha, coefficient: 0.5 }], 'models.0.coefficient'],
    ['half a unit', [{ ...alpha, units: 0.5 }], 'models.0.units'],
    ['shares that are missing', [alpha, beta], 'models.0.trafficPercent'],
    [
      'shares that do not sum to 100',
      [
        { ...alpha, trafficPercent: 50 },
        { ...beta, trafficPercent: 49 },
      ],
      'models',
    ],
    ['one model with 99 %', [{ ...alpha, trafficPercent: 99 }], 'models'],
    [
      'the same model twice',
      [
        { ...alpha, trafficPercent: 50 },
        { ...alpha, trafficPercent: 50 },
      ],
      'models.1',
    ],
    ['no model', [], 'models'],
  ])('%s is refused', async (_case, models, field) => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const answer = await refusal(control.call(endpointCreate, manager, { name: 'chat', models }));
    expect(answer).toMatchObject({ code: 'invalid_request', details: { faults: [{ field }] } });
  });

  test.each([
    ['prepaid for no months', { ...alpha, billingType: 'prepaid' as const }, 'invalid_request'],
    [
      'a template whose cache worker adopted servers are not',
      { ...beta, templateId: 'beta-trio' },
      'unsupported_feature',
    ],
    ['a template without a price', { ...alpha, templateId: 'alpha-unpriced' }, 'unsupported_feature'],
    ['a template that nothing here runs', { ...alpha, templateId: 'alpha-elsewhere' }, 'capacity_exhausted'],
  ])('%s is refused clearly', async (_case, model, code) => {
    const control = await testControl();
    const { manager } = await control.tenant();
    expect((await refusal(control.call(endpointCreate, manager, { name: 'chat', models: [model] }))).code).toBe(code);
  });

  test.each(['', 'Chat', 'ep-chat', 'a b', '-a', 'a-', 'x'.repeat(64), 'a/b'])('name %j is refused', async (name) => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const { details } = await refusal(control.call(endpointCreate, manager, { name, models: [alpha] }));
    expect(details['faults']).toMatchObject([{ field: 'name' }]);
  });

  test('names are unique in a tenant, also when two come at once', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const { manager: neighbour } = await control.tenant();
    const both = await Promise.allSettled([control.endpoint(manager), control.endpoint(manager)]);
    expect(both.map((one) => one.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await refusal(control.endpoint(manager))).code).toBe('conflict');
    expect(await control.endpoint(neighbour)).toMatchObject({ name: 'chat' });
  });
});

describe('show and list', () => {
  test('by id and by name', async () => {
    const control = await testControl();
    const { manager, reader, tenantId } = await control.tenant();
    const { endpointId } = await control.endpoint(manager);
    expect(await control.call(endpointShow, reader, { endpointId: 'chat' })).toMatchObject({ endpointId });
    expect(await control.call(endpointShow, OPERATOR, { endpointId: 'chat', tenantId })).toMatchObject({ endpointId });
    expect(await refusal(control.call(endpointShow, OPERATOR, { endpointId: 'chat' }))).toMatchObject({
      code: 'invalid_request',
      details: { param: 'tenantId' },
    });
    expect(await control.call(endpointList, reader, {})).toMatchObject({ items: [{ endpointId }] });
  });

  test.each([
    [[], 'stopped'],
    [[{ state: 'failed', units: 1, unitsReady: 0 }], 'stopped'],
    [[{ state: 'unsubscribed', units: 1, unitsReady: 0 }], 'stopped'],
    [[{ state: 'provisioning', units: 2, unitsReady: 1 }], 'creating'],
    [[{ state: 'active', units: 2, unitsReady: 2 }], 'ready'],
    [[{ state: 'active', units: 2, unitsReady: 1 }], 'degraded'],
    [[{ state: 'resizing', units: 3, unitsReady: 2 }], 'scaling'],
    [
      [
        { state: 'active', units: 1, unitsReady: 1 },
        { state: 'provisioning', units: 1, unitsReady: 0 },
      ],
      'scaling',
    ],
    [
      [
        { state: 'active', units: 1, unitsReady: 0 },
        { state: 'provisioning', units: 1, unitsReady: 0 },
      ],
      'degraded',
    ],
  ] as const)('%j is %s', (groups, state) => {
    expect(endpointState(groups)).toBe(state);
  });
});

describe('update', () => {
  test('waiting, overflow and shares', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const models = [
      { ...alpha, trafficPercent: 50 },
      { ...beta, trafficPercent: 50 },
    ];
    const made = await control.call(endpointCreate, manager, { name: 'chat', models });
    const [first, second] = made.models.map((model) => model.servedModelId) as [string, string];
    const update = (input: object) => control.call(endpointUpdate, manager, { endpointId: 'chat', ...input });
    const share = (servedModelId: string, trafficPercent: number) => ({ servedModelId, trafficPercent });
    expect(await update({ maxWaitMs: 0, overflowPolicy: 'reject' })).toMatchObject({
      maxWaitMs: 0,
      overflowPolicy: 'reject',
    });
    const moved = await update({ traffic: [share(first, 10), share(second, 90)] });
    expect(moved).toMatchObject({ maxWaitMs: 0, models: [{ trafficPercent: 10 }, { trafficPercent: 90 }] });
    for (const traffic of [
      [share(first, 100)],
      [share(first, 60), share(second, 60)],
      [share(first, 50), share('sm-other', 50)],
      [share(first, 50), share(first, 50)],
    ]) {
      const { details } = await refusal(update({ traffic }));
      expect(details['faults']).toMatchObject([{ field: 'traffic' }]);
    }
    expect((await refusal(update({}))).code).toBe('invalid_request');
    expect((await refusal(update({ maxWaitMs: 600_001 }))).code).toBe('invalid_request');
    expect(await control.call(endpointShow, manager, { endpointId: 'chat' })).toEqual(moved);
  });
});

describe('delete', () => {
  test('only without live groups; the name is free again', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const { groups } = await control.endpoint(manager);
    const { groupId } = groups[0]!;
    const answer = await refusal(control.call(endpointDelete, manager, { endpointId: 'chat' }));
    expect(answer).toMatchObject({ code: 'conflict', details: { groupIds: [groupId] } });
    expect(answer.message).toContain(groupId);
    await control.call(orderUnsubscribe, manager, { groupId });
    await control.call(endpointDelete, manager, { endpointId: 'chat' });
    expect((await refusal(control.call(endpointShow, manager, { endpointId: 'chat' }))).code).toBe('not_found');
    expect(await control.endpoint(manager)).toMatchObject({ name: 'chat' });
  });
});
