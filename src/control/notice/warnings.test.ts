import { expect, test } from 'vitest';
import { newId } from '../call.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { testControl } from '../fixture.ts';
import { noticeList } from './list.ts';
import { Warnings } from './warnings.ts';

test('a tenant is told once of each episode; of a pool nobody is', async () => {
  const control = await testControl();
  const { manager, reader } = await control.tenant();
  const models = [{ modelId: 'alpha', units: 1 }];
  const { endpointId } = await control.call(endpointCreate, manager, { name: 'chat', models });
  const { id } = await control.store.db.selectFrom('served_models').select('id').executeTakeFirstOrThrow();
  let episodes: readonly string[] = [];
  const warnings = new Warnings({
    db: control.store.db,
    log: { info: () => {}, error: () => {} },
    now: () => control.nowMs,
    newId,
    servedModels: () => [id, 'pool-1'].map((servedModelId) => ({ servedModelId, utilization: 0.934, episodes })),
    percent: 80,
    afterMs: 60_000,
  });
  const told = async () =>
    (await control.call(noticeList, reader, { kind: 'utilization_high', limit: 200 })).items.map(({ text }) => text);
  await warnings.turn();
  expect(await told()).toEqual([]);
  episodes = ['a 1'];
  for (let n = 0; n < 2; n += 1) await warnings.turn();
  const [text, ...more] = await told();
  expect(more).toEqual([]);
  expect(text).toContain(`chat (${endpointId}, model alpha) has used over 80 %`);
  expect(text).toContain('for 60 s: 93 % now');
  // Another gateway sees the same one, and the first sees it end.
  for (const seen of [['a 1', 'b 7'], ['b 7']]) {
    episodes = seen;
    await warnings.turn();
  }
  expect(await told()).toHaveLength(1);
  episodes = ['a 2'];
  control.nowMs += 1_000;
  await warnings.turn();
  expect(await told()).toHaveLength(2);
});
