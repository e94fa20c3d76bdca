import { expect, test, vi } from 'vitest';
import { KEY_ROLES } from '../core/roles.ts';
import { coefficientsOf, scaledCoefficients } from '../core/serving/work.ts';
import { endpointKey, type GatewaySnapshot } from '../gateway/snapshot.ts';
import { endpointCreate } from './endpoint/create.ts';
import { endpointUpdate } from './endpoint/update.ts';
import { OPERATOR, testControl } from './fixture.ts';
import { groupShow } from './group/show.ts';
import { keyCreate } from './key/create.ts';
import { keyRevoke } from './key/revoke.ts';
import { sha256Hex } from './operator-token.ts';
import { orderResize } from './order/resize.ts';
import { orderUnsubscribe } from './order/unsubscribe.ts';
import { buy, prepaidWorld } from './prepaid/fixture.ts';
import { buildSnapshot, snapshotPublisher } from './snapshot.ts';
import { StartupTimes } from './startup-times.ts';
import { templateShow } from './template/show.ts';

const build = (control: Awaited<ReturnType<typeof testControl>>, graceServes = true) =>
  buildSnapshot({ ...control.deps, graceServes }, 1, new StartupTimes());

test('what a request costs follows how fast the machine is; what is sold and billed does not', async () => {
  const control = await testControl();
  const tenant = await control.tenant();
  await control.endpoint(tenant.manager, 2);
  await control.provisioned();
  const step = { tau0Us: 8_000, tau1Us: 100, tau2Us: 0.5, tau3Us: 1_000, tau4Us: 2, tau5Us: 0 };
  const served = async () =>
    (await build(control)).endpoints.get(endpointKey(tenant.tenantId, 'chat'))!.servedModels[0]!;
  const before = await served();
  expect(before.coefficients).toEqual(coefficientsOf(step, 500, 8));
  const [first, second] = control.fleet.list();
  control.fleet.checked(first!.replicaId, 1.5);
  control.fleet.checked(second!.replicaId, 2.5);
  const { coefficients, ...others } = await served();
  expect(coefficients).toEqual(scaledCoefficients(before.coefficients, 2));
  expect(coefficients.p1Us).toBe(200);
  expect(others).toMatchObject({ batchPerUnit: before.batchPerUnit, unitsMax: 2 });
  expect(await control.call(templateShow, OPERATOR, { templateId: 'alpha-local' })).toMatchObject({ timeScale: 2 });
  // A replica that is gone says nothing any more.
  control.fleet.become(second!.replicaId, 'draining');
  expect((await served()).coefficients.p1Us).toBe(150);
});

test('keys, endpoints by name and id, and what a request costs on each model', async () => {
  const control = await testControl();
  const tenant = await control.tenant();
  const models = [
    { modelId: 'alpha', units: 2, coefficient: 2, trafficPercent: 80 },
    { modelId: 'beta', units: 1, trafficPercent: 20 },
  ];
  const made = await control.call(endpointCreate, tenant.manager, { name: 'chat', models, maxWaitMs: 700 });
  const snapshot = await build(control);
  expect([...snapshot.keys.keys()].sort()).toEqual([tenant.managerKey, tenant.readerKey].map(sha256Hex).sort());
  expect(snapshot.keys.get(sha256Hex(tenant.readerKey))).toMatchObject({ tenantId: tenant.tenantId });
  const byName = snapshot.endpoints.get(endpointKey(tenant.tenantId, 'chat'));
  expect(snapshot.endpoints.get(endpointKey(tenant.tenantId, made.endpointId))).toBe(byName);
  const step = { tau0Us: 8_000, tau1Us: 100, tau2Us: 0.5, tau3Us: 1_000, tau4Us: 2, tau5Us: 0 };
  expect(byName).toEqual({
    endpointId: made.endpointId,
    tenantId: tenant.tenantId,
    name: 'chat',
    createdAtMs: control.nowMs,
    maxWaitMs: 700,
    servedModels: [
      {
        servedModelId: made.models[0]!.servedModelId,
        modelId: 'alpha',
        trafficPercent: 80,
        contextTokens: 2048,
        // The model could; the template's engine does not.
        capabilities: { chat: true, completion: true, embedding: false, structuredOutput: false, tools: false },
        coefficients: coefficientsOf(step, 500, 2),
        batchPerUnit: 2,
        kvTokensPerUnit: 16_384,
        latency: expect.objectContaining({ step, ttftPrefillFactor: 2 }),
        disaggregated: false,
        startupMs: 4_000,
        unitsMax: 2,
        replicas: [],
      },
      expect.objectContaining({
        modelId: 'beta',
        batchPerUnit: 8,
        unitsMax: 1,
        coefficients: coefficientsOf(step, 500, 8),
      }),
    ],
  });
  await control.call(endpointUpdate, tenant.manager, { endpointId: 'chat', overflowPolicy: 'reject' });
  const after = await build(control);
  expect(after.endpoints.get(endpointKey(tenant.tenantId, 'chat'))?.maxWaitMs).toBe(0);
});

test('a unit serves from the second it is billed to the second it is not', async () => {
  const control = await testControl();
  const { manager, tenantId } = await control.tenant();
  const { groups } = await control.endpoint(manager, 2);
  const { groupId } = groups[0]!;
  const states = async () => {
    const endpoint = (await build(control)).endpoints.get(endpointKey(tenantId, 'chat'));
    const [model] = endpoint!.servedModels;
    return [model!.unitsMax, ...model!.replicas.map((replica) => replica.state)];
  };
  const provisioner = control.provisioner();
  expect(await states()).toEqual([2]);
  await provisioner.reconcile();
  const [first] = control.fleet.list();
  control.fleet.become(first!.replicaId, 'ready');
  expect(await states()).toEqual([2, 'starting', 'starting']);
  await control.provisioned(provisioner);
  expect(await states()).toEqual([2, 'ready', 'ready']);
  await control.call(orderResize, manager, { groupId, units: 3 });
  await provisioner.reconcile();
  control.fleet.allReady();
  expect(await states()).toEqual([3, 'ready', 'ready', 'starting']);
  await provisioner.reconcile();
  expect(await states()).toEqual([3, 'ready', 'ready', 'ready']);
  await control.call(orderResize, manager, { groupId, units: 1 });
  expect(await states()).toEqual([1, 'ready', 'draining', 'draining']);
  await control.call(orderUnsubscribe, manager, { groupId });
  expect(await states()).toEqual([0, 'draining', 'draining', 'draining']);
});

test('the gateway knows keys of roles that may send requests, and no others', async () => {
  const control = await testControl();
  const { manager } = await control.tenant();
  const known = new Map<string, boolean>();
  for (const role of KEY_ROLES) {
    const { key } = await control.call(keyCreate, manager, { name: role, role });
    known.set(role, (await build(control)).keys.has(sha256Hex(key!)));
  }
  expect(Object.fromEntries(known)).toEqual({
    inference: true,
    admin: true,
    finance: false,
    developer: true,
    viewer: false,
  });
});

test('the publisher follows database and fleet; a revoked key is gone', async () => {
  const control = await testControl();
  const { manager, reader, readerKey, tenantId } = await control.tenant();
  const published: GatewaySnapshot[] = [];
  const publisher = await snapshotPublisher({
    ...control.deps,
    graceServes: true,
    apply: (snapshot) => published.push(snapshot),
  });
  expect(published).toHaveLength(1);
  expect(published[0]!.keys.has(sha256Hex(readerKey))).toBe(true);
  await control.call(keyRevoke, manager, { keyId: reader.kind === 'key' ? reader.keyId : '' });
  publisher.poke();
  await vi.waitFor(() => expect(published.at(-1)!.keys.has(sha256Hex(readerKey))).toBe(false), 500);
  await control.endpoint(manager);
  const before = published.length;
  await control.provisioned();
  publisher.poke(); // as the order's success does
  const replicas = () => published.at(-1)!.endpoints.get(endpointKey(tenantId, 'chat'))?.servedModels[0]?.replicas;
  await vi.waitFor(() => expect(replicas()).toMatchObject([{ state: 'ready' }]), 500);
  expect(published.length).toBeGreaterThan(before);
  expect(published.map((snapshot) => snapshot.version)).toEqual(published.map((_, index) => index + 1));
  await publisher.flush();
  const last = published.length;
  await publisher.stop();
  control.fleet.become(control.fleet.list()[0]!.replicaId, 'failed');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(published).toHaveLength(last);
});

test('a model that left the catalogue is logged and takes nothing else down', async () => {
  const control = await testControl();
  const { manager, tenantId } = await control.tenant();
  await control.endpoint(manager);
  const models = new Map([...control.deps.catalog.models].filter(([id]) => id !== 'alpha'));
  control.deps = { ...control.deps, catalog: { ...control.deps.catalog, models } };
  expect((await build(control)).endpoints.get(endpointKey(tenantId, 'chat'))).toMatchObject({ servedModels: [] });
  expect(control.errors).toMatchObject([{ message: 'left the catalogue but is sold' }]);
});

test('prepaid units serve in the day between expiry and reclaim, unless the policy says no', async () => {
  const { control, tenant } = await prepaidWorld();
  const groupId = await buy(control, tenant);
  const states = async (graceServes: boolean) => {
    const snapshot = await build(control, graceServes);
    const { replicas } = snapshot.endpoints.get(endpointKey(tenant.tenantId, 'chat'))!.servedModels[0]!;
    return replicas.map((replica) => replica.state);
  };
  const { term } = await control.call(groupShow, tenant.manager, { groupId });
  control.nowMs = term!.expiresAtMs - 1;
  expect(await states(false)).toEqual(['ready', 'ready']);
  control.nowMs += 1;
  expect([await states(true), await states(false)]).toEqual([
    ['ready', 'ready'],
    ['draining', 'draining'],
  ]);
});

test('start-up time is the mean of the last starts', () => {
  const template = { id: 'alpha-local', startupMs: 4_000 };
  const times = new StartupTimes();
  expect(times.of(template)).toBe(4_000);
  const start = (n: number, ms: number | null) => ({
    replicaId: `rep-${n}`,
    servedModelId: 'sm-1',
    templateId: 'alpha-local',
    role: 'unified' as const,
    state: 'ready' as const,
    address: null,
    startedAtMs: n,
    readyAtMs: ms === null ? null : n + ms,
    restarts: 0,
    failure: null,
    timeScale: null,
  });
  times.learn([start(1, 1_000), start(2, 3_000), start(3, null)]);
  times.learn([start(1, 1_000), start(2, 3_000)]);
  expect(times.of(template)).toBe(2_000);
  times.learn(Array.from({ length: 8 }, (_, n) => start(10 + n, 500)));
  expect(times.of(template)).toBe(500);
});
