import { beforeEach, describe, expect, test } from 'vitest';
import type { GatewaySnapshot } from '../../gateway/snapshot.ts';
import { auditList } from '../audit/list.ts';
import { billPreview } from '../billing/preview.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { endpointDelete } from '../endpoint/delete.ts';
import { endpointShow } from '../endpoint/show.ts';
import { OPERATOR, refusal, type TestControl } from '../fixture.ts';
import { limitSet } from '../limit/set.ts';
import { orderNew } from '../order/new.ts';
import { replicaList } from '../replica/list.ts';
import { buildSnapshot } from '../snapshot.ts';
import { StartupTimes } from '../startup-times.ts';
import { poolCreate } from './create.ts';
import { endpointByToken, type PoolWorld, poolWorld } from './fixture.ts';
import { poolList } from './list.ts';
import { poolRemove } from './remove.ts';
import { poolResize } from './resize.ts';

let world: PoolWorld;
let control: TestControl;
beforeEach(async () => {
  world = await poolWorld();
  ({ control } = world);
});

function snapshot(): Promise<GatewaySnapshot> {
  return buildSnapshot({ ...control.deps, graceServes: true }, 1, new StartupTimes());
}

async function endpointIn(tenantId: string, name = 'tokens') {
  return (await snapshot()).endpoints.get(`${tenantId}/${name}`)!;
}

describe('pools', () => {
  test('run the operator’s units, of which no tenant is billed; tenants see price and limits', async () => {
    const tenant = await control.tenant();
    const { items } = await control.call(poolList, OPERATOR, {});
    expect(items).toMatchObject([
      {
        poolId: world.poolId,
        modelId: 'alpha',
        templateId: 'alpha-local',
        units: 2,
        unitsReady: 2,
        rpm: 60,
        tpm: 100_000,
        price: { input: { amount: '0.800000' }, cachedInput: { amount: '0.160000' }, output: { amount: '2.000000' } },
      },
    ]);
    const seen = (await control.call(poolList, tenant.reader, {})).items;
    expect(seen).toMatchObject([{ modelId: 'alpha', rpm: 60, templateId: null, units: null, unitsReady: null }]);
    for (const table of ['instance_groups', 'orders', 'group_segments'] as const) {
      expect(await control.store.db.selectFrom(table).selectAll().execute()).toEqual([]);
    }
    expect((await control.call(auditList, OPERATOR, { subject: world.poolId })).items).toMatchObject([
      { verb: 'pool.create', tenantId: null },
    ]);
  });

  test('grow and shrink; a unit taken back drains, a dead one is tried again', async () => {
    await control.call(poolResize, OPERATOR, { poolId: world.poolId, units: 3 });
    const provisioner = control.provisioner();
    await control.provisioned(provisioner);
    expect(Object.values(control.fleet.states())).toEqual(['ready', 'ready', 'ready']);
    await control.call(poolResize, OPERATOR, { poolId: world.poolId, units: 1 });
    await provisioner.reconcile();
    expect(Object.values(control.fleet.states()).sort()).toEqual(['draining', 'draining', 'ready']);
    control.fleet.become(`rep-${world.poolId}-0`, 'failed', 'out of memory');
    const [pool] = (await control.call(poolList, OPERATOR, {})).items;
    expect(pool).toMatchObject({ units: 1, unitsReady: 0, failure: 'out of memory' });
    await provisioner.reconcile();
    control.nowMs += 60_000;
    await provisioner.reconcile();
    expect(control.fleet.states()[`rep-${world.poolId}-0`]).not.toBe('failed');
  });

  test('take part in what fits: units of tenants and of pools together', async () => {
    const tenant = await control.tenant();
    await control.call(poolResize, OPERATOR, { poolId: world.poolId, units: 7 });
    const models = [{ modelId: 'alpha', units: 2 }];
    const refused = await refusal(control.call(endpointCreate, tenant.manager, { name: 'own', models }));
    expect(refused).toMatchObject({ code: 'capacity_exhausted', details: { freeUnits: 1 } });
    const tooMany = await refusal(control.call(poolResize, OPERATOR, { poolId: world.poolId, units: 9 }));
    expect(tooMany.code).toBe('capacity_exhausted');
  });

  test.each([
    ['a second of one model', { modelId: 'alpha', units: 1 }, 'conflict'],
    ['a model without token price', { modelId: 'beta', units: 1 }, 'invalid_request'],
    ['no model at all', { modelId: 'omega', units: 1 }, 'invalid_request'],
    ['a model without template', { modelId: 'gamma', units: 1 }, 'invalid_request'],
    ['a disaggregated template', { modelId: 'alpha', templateId: 'alpha-pair', units: 1 }, 'unsupported_feature'],
    ['no units', { modelId: 'alpha', units: 0 }, 'invalid_request'],
    ['no tokens', { modelId: 'alpha', units: 1, tpm: 0 }, 'invalid_request'],
    ['half a request', { modelId: 'alpha', units: 1, rpm: 0.5 }, 'invalid_request'],
  ])('%s: %o is refused', async (_what, input, code) => {
    expect((await refusal(control.call(poolCreate, OPERATOR, input))).code).toBe(code);
    expect(await control.store.db.selectFrom('pools').selectAll().execute()).toHaveLength(1);
  });

  test('go when no endpoint uses them; a pool that is gone is not there', async () => {
    const tenant = await control.tenant();
    const { endpointId } = await endpointByToken(control, tenant);
    const refused = await refusal(control.call(poolRemove, OPERATOR, { poolId: world.poolId }));
    expect(refused).toMatchObject({ code: 'conflict', details: { endpointIds: [endpointId] } });
    await control.call(endpointDelete, tenant.manager, { endpointId });
    await control.call(poolRemove, OPERATOR, { poolId: world.poolId });
    await control.provisioner().reconcile();
    expect(Object.values(control.fleet.states())).toEqual(['draining', 'draining']);
    for (const again of [
      control.call(poolRemove, OPERATOR, { poolId: world.poolId }),
      control.call(poolResize, OPERATOR, { poolId: world.poolId, units: 1 }),
    ])
      expect((await refusal(again)).code).toBe('not_found');
    const next = await control.call(poolCreate, OPERATOR, { modelId: 'alpha', units: 1, coefficient: 2 });
    expect(next.poolId).not.toBe(world.poolId);
  });
});

describe('endpoints that are paid by the token', () => {
  test('serve at once on the pool that all of them share, with limits and no units', async () => {
    const a = await control.tenant();
    const b = await control.tenant();
    const made = await endpointByToken(control, a);
    await endpointByToken(control, b);
    expect(made).toMatchObject({
      accessMode: 'pay_per_token',
      state: 'ready',
      groups: [],
      suspendedAtMs: null,
      models: [{ modelId: 'alpha', units: 0 }],
    });
    const [one, other] = [await endpointIn(a.tenantId), await endpointIn(b.tenantId)];
    expect(one.servedModels).toMatchObject([{ servedModelId: world.poolId, shared: true, unitsMax: 2 }]);
    expect(one.servedModels[0]?.replicas.map((replica) => replica.state)).toEqual(['ready', 'ready']);
    expect(other.servedModels.map((model) => model.servedModelId)).toEqual([world.poolId]);
    expect(one.rateLimit).toEqual({ key: `${a.tenantId}/alpha`, requestsPerMinute: 60, tokensPerMinute: 100_000 });
    await control.call(limitSet, OPERATOR, { tenantId: b.tenantId, modelId: 'alpha', rpm: 5, tpm: 500 });
    expect((await endpointIn(b.tenantId)).rateLimit).toMatchObject({ requestsPerMinute: 5, tokensPerMinute: 500 });
    expect((await endpointIn(a.tenantId)).rateLimit).toMatchObject({ requestsPerMinute: 60 });
    expect((await control.call(billPreview, a.reader, {})).total.amount).toBe('0.000000');
    expect((await control.call(replicaList, a.reader, {})).items).toEqual([]);
  });

  test('follow the pool: no unit ready, some, a new pool of the model', async () => {
    const tenant = await control.tenant();
    const { endpointId } = await endpointByToken(control, tenant);
    const state = async () => (await control.call(endpointShow, tenant.reader, { endpointId })).state;
    control.fleet.become(`rep-${world.poolId}-0`, 'failed');
    expect(await state()).toBe('degraded');
    control.fleet.become(`rep-${world.poolId}-1`, 'failed');
    expect(await state()).toBe('scaling');
  });

  test('need money in the wallet', async () => {
    const poor = await control.tenant('0');
    expect((await refusal(endpointByToken(control, poor))).code).toBe('payment_required');
    expect(await control.store.db.selectFrom('endpoints').selectAll().execute()).toEqual([]);
  });

  test.each([
    ['units', { models: [{ modelId: 'alpha', units: 1 }] }, 'models.0.units'],
    ['months', { models: [{ modelId: 'alpha', billingType: 'prepaid', months: 1 }] }, 'models.0.months'],
    ['prepaid', { models: [{ modelId: 'alpha', billingType: 'prepaid' }] }, 'models.0.billingType'],
    ['a template', { models: [{ modelId: 'alpha', templateId: 'alpha-local' }] }, 'models.0.templateId'],
    ['half the traffic', { models: [{ modelId: 'alpha', trafficPercent: 50 }] }, 'models.0.trafficPercent'],
    ['two models', { models: [{ modelId: 'alpha' }, { modelId: 'beta' }] }, 'models'],
    ['a model without pool', { models: [{ modelId: 'beta' }] }, 'models.0.modelId'],
    ['a quote', { models: [{ modelId: 'alpha' }], quoteId: 'q-1' }, 'quoteId'],
  ])('%s cannot be said', async (_what, input, field) => {
    const tenant = await control.tenant();
    const call = control.call(endpointCreate, tenant.manager, {
      name: 'x',
      accessMode: 'pay_per_token',
      ...input,
    } as never);
    expect(await refusal(call)).toMatchObject({ code: 'invalid_request', details: { faults: [{ field }] } });
  });

  test('are not given units, nor endpoints of units made without them', async () => {
    const tenant = await control.tenant();
    const { endpointId } = await endpointByToken(control, tenant);
    expect((await refusal(control.call(orderNew, tenant.manager, { endpointId, units: 1 }))).code).toBe('conflict');
    const models = [{ modelId: 'alpha' }];
    const none = await refusal(control.call(endpointCreate, tenant.manager, { name: 'y', models }));
    expect(none).toMatchObject({ code: 'invalid_request', details: { faults: [{ field: 'models.0.units' }] } });
    const wrong = { name: 'y', accessMode: 'tokens_per_second' as const, models: [{ modelId: 'alpha', units: 1 }] };
    expect((await refusal(control.call(endpointCreate, tenant.manager, wrong))).code).toBe('invalid_request');
  });
});
