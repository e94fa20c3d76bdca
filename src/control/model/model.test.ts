import { expect, test } from 'vitest';
import { refusal, testControl } from '../fixture.ts';
import { templateList } from '../template/list.ts';
import { templateShow } from '../template/show.ts';
import { modelList } from './list.ts';
import { modelShow } from './show.ts';

test('models with the templates that sell them', async () => {
  const control = await testControl();
  const { reader } = await control.tenant();
  const { items } = await control.call(modelList, reader, {});
  expect(items.map((model) => [model.id, model.templateIds.length])).toEqual([
    ['alpha', 4],
    ['beta', 2],
    ['gamma', 0],
  ]);
  const ids = async (input: object) => (await control.call(modelList, reader, input)).items.map((model) => model.id);
  expect(await ids({ deployable: false })).toEqual(['gamma']);
  expect(await ids({ availability: 'external' })).toEqual(['gamma']);
  expect(await ids({ family: 'latin' })).toEqual([]);
  expect(await control.call(modelShow, reader, { modelId: 'beta' })).toMatchObject({
    id: 'beta',
    sources: ['made for tests'],
    templateIds: ['beta-local', 'beta-trio'],
  });
  expect((await refusal(control.call(modelShow, reader, { modelId: 'delta' }))).code).toBe('not_found');
});

test('templates with tiers, price and free units', async () => {
  const control = await testControl();
  const { reader } = await control.tenant();
  control.fleet.slots = 3;
  expect(await control.call(templateShow, reader, { templateId: 'alpha-local' })).toMatchObject({
    tiers: [{ coefficient: 1 }, { coefficient: 2 }],
    price: { hourly: '3.60', currency: 'CNY', version: '2026-04' },
    capacity: { freeUnits: 3, limit: '3 workers on this machine' },
  });
  expect(await control.call(templateShow, reader, { templateId: 'alpha-unpriced' })).toMatchObject({ price: null });
  expect(await control.call(templateShow, reader, { templateId: 'alpha-elsewhere' })).toMatchObject({ capacity: null });
  const { items } = await control.call(templateList, reader, { modelId: 'beta' });
  expect(items.map((template) => template.id)).toEqual(['beta-local', 'beta-trio']);
  expect((await refusal(control.call(templateShow, reader, { templateId: 'x' }))).code).toBe('not_found');
});
