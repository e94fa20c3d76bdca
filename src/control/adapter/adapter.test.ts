import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { smolMatrices } from '../../../test/smol-matrices.ts';
import { writeAdapter } from '../../model-files/write-adapter.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { refusal, testControl } from '../fixture.ts';
import { modelRegister } from '../model/register.ts';
import { modelRegistered } from '../model/registered.ts';
import { modelRemove } from '../model/remove.ts';
import { buildSnapshot } from '../snapshot.ts';
import { StartupTimes } from '../startup-times.ts';
import { adapterAdd } from './add.ts';
import { adapterList } from './list.ts';
import { adapterRemove } from './remove.ts';

const folder = mkdtempSync(join(tmpdir(), 'cubit-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const source = join(folder, 'a.gguf');
await writeAdapter(source, smolMatrices(), { rank: 8, alpha: 16, seed: 1, scale: 0.01 });

async function world() {
  const control = await testControl();
  control.modelFolders.push(folder);
  const tenant = await control.tenant();
  const register = (name: string, more: object = {}) =>
    control.call(modelRegister, tenant.manager, { name, baseModelId: 'alpha', source, ...more });
  return { control, tenant, register };
}

test('a registered adapter is added to an endpoint, comes to the gateway, and leaves again', async () => {
  const { control, register, tenant } = await world();
  const { manager } = tenant;
  await control.endpoint(manager);
  const model = await register('mine');
  expect(model).toMatchObject({ kind: 'lora', format: 'gguf', rank: 8, alpha: 16 });
  const added = await control.call(adapterAdd, manager, { endpointId: 'chat', modelId: 'mine' });
  expect(added).toMatchObject({ callAs: 'chat:mine', modelId: model.modelId });
  await control.call(adapterAdd, manager, { endpointId: 'chat', modelId: model.modelId });
  expect((await control.call(adapterList, manager, { endpointId: 'chat' })).items).toEqual([added]);

  const snapshot = async () => buildSnapshot({ ...control.deps, graceServes: true }, 1, new StartupTimes());
  const [endpoint] = (await snapshot()).endpoints.values();
  const wanted = { adapterId: model.modelId, name: 'mine', baseModelId: 'alpha', rank: 8, path: source };
  expect(endpoint?.adapters).toEqual([wanted]);

  expect(await refusal(control.call(modelRemove, manager, { modelId: 'mine' }))).toMatchObject({ code: 'conflict' });
  expect((await control.call(modelRegistered, manager, {})).items).toHaveLength(1);
  await control.call(adapterRemove, manager, { endpointId: 'chat', modelId: 'mine' });
  expect([...(await snapshot()).endpoints.values()][0]?.adapters).toBeUndefined();
  await control.call(modelRemove, manager, { modelId: 'mine' });
  expect((await control.call(modelRegistered, manager, {})).items).toEqual([]);
  await register('mine');
});

test('what does not fit is refused by name', async () => {
  const { control, register, tenant } = await world();
  const { manager } = tenant;
  await control.endpoint(manager);
  expect((await refusal(register('x', { baseModelId: 'nothing' }))).message).toContain('no model nothing');
  expect((await refusal(register('x', { baseModelId: 'beta' }))).message).toContain('no architecture');
  expect((await refusal(register('Big Name'))).code).toBe('invalid_request');
  await register('mine');
  expect((await refusal(register('mine'))).code).toBe('conflict');
  const stranger = await control.tenant();
  const theirs = { endpointId: 'chat', modelId: 'mine' };
  await control.endpoint(stranger.manager);
  expect((await refusal(control.call(adapterAdd, stranger.manager, theirs))).code).toBe('not_found');
  await control.call(endpointCreate, manager, { name: 'other', models: [{ modelId: 'beta', units: 1 }] });
  const wrong = control.call(adapterAdd, manager, { endpointId: 'other', modelId: 'mine' });
  expect((await refusal(wrong)).message).toContain('which other does not serve');
  const own = { name: 'own', models: [{ modelId: 'alpha', units: 1, ownModelId: 'mine' }] };
  expect((await refusal(control.call(endpointCreate, manager, own))).message).toContain('is an adapter');
});
