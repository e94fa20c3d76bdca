import { expect, test } from 'vitest';
import type { Catalog } from '../catalog/schema.ts';
import { endpointDelete } from './endpoint/delete.ts';
import { endpointList } from './endpoint/list.ts';
import { OPERATOR, type TestControl, testControl } from './fixture.ts';
import { keyList } from './key/list.ts';
import { orderList } from './order/list.ts';
import { orderUnsubscribe } from './order/unsubscribe.ts';
import { type SeedCall, seedDemo } from './seed.ts';
import { tenantList } from './tenant/list.ts';
import { walletShow } from './wallet/show.ts';

/** The test catalogue under the names that the demo sells. */
function demoCatalog(catalog: Catalog): Catalog {
  const model = { ...catalog.models.get('alpha')!, id: 'smollm2-135m-instruct' };
  const template = { ...catalog.templates.get('alpha-local')!, id: 'smollm2-135m-local', modelId: model.id };
  const [price] = catalog.priceBook.prices;
  return {
    ...catalog,
    models: new Map([[model.id, model]]),
    templates: new Map([[template.id, template]]),
    priceBook: { ...catalog.priceBook, prices: [{ ...price!, templateId: template.id }] },
  };
}

async function demoControl() {
  const control = await testControl();
  control.fleet.served.add('smollm2-135m-local');
  control.deps = { ...control.deps, catalog: demoCatalog(control.deps.catalog) };
  return control;
}

/** Where nobody buys without an application, a quota and an accepted agreement. */
async function strictControl() {
  const control = await demoControl();
  const agreement = { version: 'v1', title: 'Terms', validFromMs: 0, text: 'Pay.', sha256: 'f'.repeat(64) };
  const catalog = { ...control.deps.catalog, agreements: [agreement] };
  control.deps = { ...control.deps, catalog, policy: { access: 'by_application', quotaUnits: 0 } };
  return control;
}

/** Runs the seed while a provisioner works; `calls` lets it live for so many calls only, as a kill would. */
async function seed(control: TestControl, options: { calls?: number; unit?: 'ready' | 'failed' } = {}) {
  const { calls = Number.POSITIVE_INFINITY, unit = 'ready' } = options;
  const provisioner = control.provisioner();
  let made = 0;
  const call: SeedCall = async (verb, input, key) => {
    if (++made > calls) throw new Error('killed');
    const answer = await control.call(verb, OPERATOR, input, key);
    await provisioner.reconcile();
    for (const { replicaId, state } of control.fleet.list()) {
      if (state === 'starting') control.fleet.become(replicaId, unit, unit === 'failed' ? 'no memory' : null);
    }
    await provisioner.reconcile();
    return answer;
  };
  return seedDemo({ call, db: control.store.db, say: () => undefined });
}

async function count(control: TestControl) {
  const tenants = (await control.call(tenantList, OPERATOR, {})).items;
  const keys = (await control.call(keyList, OPERATOR, {})).items.filter((key) => key.revokedAtMs === null);
  const tenantId = tenants[0]?.tenantId ?? '';
  return {
    tenants: tenants.length,
    endpoints: (await control.call(endpointList, OPERATOR, {})).items.length,
    orders: (await control.call(orderList, OPERATOR, {})).items.length,
    keys: keys.length,
    balance: (await control.call(walletShow, OPERATOR, { tenantId })).balance.amount,
  };
}

const ONE_OF_EACH = { tenants: 1, endpoints: 1, orders: 1, keys: 1, balance: '1000.000000' };

test('sells one unit, then finds it', async () => {
  const control = await demoControl();
  const first = await seed(control);
  expect(first).toMatchObject({ endpoint: 'demo', apiKey: expect.stringMatching(/^sk-cubit-/) });
  expect(await count(control)).toEqual(ONE_OF_EACH);
  expect(await seed(control)).toEqual({ ...first, apiKey: null });
  expect(await count(control)).toEqual(ONE_OF_EACH);
});

test.each([
  ['open', demoControl],
  ['strict', strictControl],
])('%s: killed after any of its calls it ends the same', async (_policy, newControl) => {
  for (let calls = 0; calls < 25; calls++) {
    const control = await newControl();
    const killed = await seed(control, { calls }).then(
      () => false,
      () => true,
    );
    const again = await seed(control);
    expect(await count(control), `killed after ${calls} calls`).toEqual(ONE_OF_EACH);
    if (!killed) return;
    expect(again?.apiKey).toMatch(/^sk-cubit-/);
  }
  throw new Error('it never came to its end');
});

test('a unit that failed is said, and ordered anew at the next start', async () => {
  const control = await demoControl();
  await expect(seed(control, { unit: 'failed' })).rejects.toMatchObject({
    code: 'engine_unavailable',
    message: expect.stringContaining('no memory'),
  });
  expect(await seed(control)).toMatchObject({ endpoint: 'demo' });
  expect(await count(control)).toEqual({ ...ONE_OF_EACH, orders: 2 });
});

test('what was given up stays given up', async () => {
  const control = await demoControl();
  await seed(control);
  const [order] = (await control.call(orderList, OPERATOR, {})).items;
  await control.call(orderUnsubscribe, OPERATOR, { groupId: order!.groupId });
  expect(await seed(control)).toBeNull();
  await control.call(endpointDelete, OPERATOR, { endpointId: order!.endpointId });
  expect(await seed(control)).toBeNull();
  expect(await count(control)).toMatchObject({ endpoints: 0, orders: 2 });
});
