import { expect, test } from 'vitest';
import { newId } from '../control/call.ts';
import { ruleSet } from '../control/elastic/set.ts';
import { OPERATOR, refusal, START_MS } from '../control/fixture.ts';
import { groupShow } from '../control/group/show.ts';
import { noticeList } from '../control/notice/list.ts';
import { quotaSet } from '../control/quota/set.ts';
import type { IdKind } from '../core/ids.ts';
import { elastic } from './fixture.ts';

test('a quota cut below what runs takes added units back, and no ordered one', async () => {
  const { control, counts, decisions, groupId, load, manager, pass, tenantId } = await elastic(2);
  load.perUnit = 8;
  await pass(5);
  control.fleet.allReady();
  await pass(5);
  const { ready } = await counts();
  expect(ready).toBeGreaterThan(0);
  const told = async () => (await control.call(noticeList, manager, { kind: 'scaling_quota_cut' })).items;
  expect(await told()).toEqual([]);
  await control.call(quotaSet, OPERATOR, { tenantId, templateId: 'alpha-local', units: 1 });
  await pass(5);
  expect(await counts()).toMatchObject({ base: 2, ready: 0, starting: 0 });
  expect((await decisions())[0]).toMatchObject({ unitsAfter: 2, cause: 'bounds' });
  expect((await decisions())[0]!.sentence).toContain('quota');
  await pass(60);
  expect(await counts()).toMatchObject({ base: 2, ready: 0, starting: 0 });
  const [notice, ...more] = await told();
  expect([notice, more]).toMatchObject([{ subject: groupId, detail: { units: expect.any(Number) } }, []]);
  expect(notice!.detail['units']).toBeGreaterThanOrEqual(ready);
});

test('a quota between leaves room for as many as fit', async () => {
  const { control, counts, load, pass, tenantId } = await elastic(2);
  await control.call(quotaSet, OPERATOR, { tenantId, templateId: 'alpha-local', units: 3 });
  load.perUnit = 8;
  await pass(60);
  expect((await counts()).starting).toBe(1);
  control.fleet.allReady();
  await pass(60);
  expect(await counts()).toMatchObject({ ready: 1, starting: 0 });
});

test('units that are ready for a moment and crash are not launched without end, and the tenant is told', async () => {
  const { control, added, groupId, load, manager, pass } = await elastic(1, { maxUnits: 2 });
  load.perUnit = 8;
  for (let i = 0; i < 60; i += 1) {
    await pass(5);
    for (const { replicaId } of await added()) {
      const state = control.fleet.list().find((one) => one.replicaId === replicaId)?.state;
      if (state === 'starting') control.fleet.become(replicaId, 'ready');
      if (state === 'ready') control.fleet.become(replicaId, 'failed', 'segmentation fault');
    }
  }
  const tries = (await added()).length;
  expect(tries).toBeGreaterThanOrEqual(3);
  expect(tries).toBeLessThanOrEqual(6);
  const { items } = await control.call(noticeList, manager, { kind: 'scaling_stuck' });
  expect(items[0]).toMatchObject({ subject: groupId, detail: { reason: 'segmentation fault' } });
});

test('a start that hangs is failed after a quarter of an hour, billed nothing and replaced', async () => {
  const { added, control, groupId, load, pass } = await elastic(1, { maxUnits: 2 });
  load.perUnit = 8;
  await pass(910);
  const first = (await added()).at(-1);
  expect(first).toMatchObject({ state: 'failed', readyAtMs: null, failure: 'It was not ready in time.' });
  await pass(20);
  expect((await added())[0]).toMatchObject({ state: 'starting' });
  const { billedUnitSeconds } = await control.call(groupShow, OPERATOR, { groupId });
  expect(billedUnitSeconds).toBe(Math.ceil((control.nowMs - START_MS) / 1_000));
});

test('a unit that its fleet calls ready and that serves nothing is replaced, and said to be', async () => {
  const { added, control, counts, decisions, load, pass, unfit } = await elastic(1, { maxUnits: 2 });
  load.perUnit = 8;
  await pass(5);
  control.fleet.allReady();
  await pass(305);
  const [bad] = await added();
  expect(bad).toMatchObject({ state: 'ready' });
  unfit.set(bad!.replicaId, 'failing');
  await pass(100);
  // A trial that goes well in between: its time begins anew.
  unfit.clear();
  await pass(5);
  unfit.set(bad!.replicaId, 'failing');
  await pass(115);
  expect((await added())[0]).toMatchObject({ unitId: bad!.unitId, state: 'ready' });
  await pass(15);
  const ended = (await added()).find(({ unitId }) => unitId === bad!.unitId)!;
  expect(ended).toMatchObject({ state: 'failed', failure: expect.stringContaining('for 120 s (failing)') });
  const replaced = (await decisions()).find(({ cause }) => cause === 'unfit')!;
  expect(replaced).toMatchObject({ unitsBefore: 2, unitsAfter: 1, atMs: ended.endedAtMs });
  // It had served for long, so another is started at once; what gateways say of the old one is no matter.
  expect(await counts()).toMatchObject({ base: 1, ready: 0, starting: 1 });
  control.fleet.allReady();
  await pass(300);
  expect(await counts()).toMatchObject({ base: 1, ready: 1, starting: 0 });
});

test('when all units look bad, one is replaced in two minutes and not all at once', async () => {
  const { added, control, load, pass, unfit } = await elastic(1, { maxUnits: 5 });
  load.perUnit = 8;
  await pass(40);
  control.fleet.allReady();
  await pass(305);
  const ready = (await added()).filter(({ state }) => state === 'ready');
  expect(ready).toHaveLength(2);
  for (const { replicaId } of ready) unfit.set(replicaId, 'unreachable');
  const failed = async () => (await added()).filter(({ state }) => state === 'failed').length;
  const after: number[] = [];
  for (let i = 0; i < 2; i += 1) {
    await pass(125);
    after.push(await failed());
  }
  expect(after).toEqual([1, 2]);
});

test('targets that no number of units meets are refused with what one request alone takes', async () => {
  const { control, groupId, manager } = await elastic(1);
  const answer = await refusal(control.call(ruleSet, manager, { groupId, maxUnits: 4, ttftMsMax: 1, tpotMsMax: 1 }));
  expect(answer).toMatchObject({ code: 'invalid_request' });
  expect(answer.message).toMatch(/one request alone on a unit takes [\d.]+ ms/);
});

test.each(['elasticUnit', 'decision', 'audit'] as const)(
  'a leader that dies before its %s is written leaves nothing half done; the next one does all of it',
  async (kind) => {
    const { control, counts, decisions, load, pass, added, scalerOf } = await elastic(1);
    const dying = (id: IdKind) => {
      if (id === kind) throw new Error('killed');
      return newId(id);
    };
    load.perUnit = 8;
    // Launching writes units and the decision; draining writes the audit too.
    if (kind === 'audit') {
      await pass(5);
      control.fleet.allReady();
      await pass(5);
      load.perUnit = 0;
      await pass(80);
    }
    const before = { counts: await counts(), units: await added(), decisions: await decisions() };
    await pass(kind === 'audit' ? 200 : 5, scalerOf('one', dying));
    expect({ counts: await counts(), units: await added(), decisions: await decisions() }).toEqual(before);
    expect(control.errors.at(-1)!.message).toContain('tried again');
    await pass(kind === 'audit' ? 200 : 5, scalerOf('one'));
    expect((await decisions()).length).toBeGreaterThan(before.decisions.length);
  },
);

test('machines of a disaggregated unit are started, billed, drained and failed together', async () => {
  const { added, control, counts, load, pass, running } = await elastic(1, {}, 'alpha-pair');
  load.perUnit = 8;
  await pass(5);
  const [unit] = await added();
  const machines = () => control.fleet.list().filter(({ replicaId }) => replicaId.startsWith(unit!.replicaId));
  expect(machines().map(({ role }) => role)).toEqual(['prefill', 'decode']);
  control.fleet.become(`${unit!.replicaId}-prefill`, 'ready');
  await pass(5);
  expect((await added()).find(({ unitId }) => unitId === unit!.unitId)!.state).toBe('starting');
  control.fleet.allReady();
  await pass(5);
  expect((await added()).every(({ state }) => state === 'ready')).toBe(true);
  load.perUnit = 0;
  while ((await counts()).ready > 0) await pass(5);
  await pass(10);
  expect(running.get(`${unit!.replicaId}-decode`)).toBe(0);
  expect((await added()).every(({ state }) => state === 'released')).toBe(true);
  const stopped = control.fleet.drains.map(({ replicaId }) => replicaId);
  expect(stopped).toEqual(expect.arrayContaining([`${unit!.replicaId}-prefill`, `${unit!.replicaId}-decode`]));

  control.fleet.allDrained();
  load.perUnit = 8;
  await pass(30);
  const again = (await added()).find(({ state }) => state === 'starting')!;
  control.fleet.become(`${again.replicaId}-decode`, 'failed', 'no memory');
  await pass(5);
  expect((await added()).find(({ unitId }) => unitId === again.unitId)).toMatchObject({ failure: 'no memory' });
});

test('what was learned of the week outlives the process', async () => {
  const { control, groupId, load, scaler, scalerOf } = await elastic(1);
  load.perUnit = 2;
  const minutes = async (count: number, by = scaler) => {
    for (let i = 0; i < count; i += 1) {
      control.nowMs += 60_000;
      await by.turn();
    }
  };
  await minutes(75);
  const row = await control.store.db.selectFrom('load_profiles').selectAll().executeTakeFirstOrThrow();
  expect(row.group_id).toBe(groupId);
  const learned = (JSON.parse(row.profile_json) as number[]).filter((value) => value >= 0);
  expect(learned.length).toBeGreaterThanOrEqual(12);
  expect(learned.at(-1)).toBeCloseTo(0.25);
  await minutes(75, scalerOf('one'));
  const later = await control.store.db.selectFrom('load_profiles').selectAll().executeTakeFirstOrThrow();
  expect((JSON.parse(later.profile_json) as number[]).filter((value) => value >= 0).length).toBeGreaterThan(
    learned.length,
  );
});
