import { expect, test } from 'vitest';
import { insertReceipts } from '../../store/receipts.ts';
import { refusal, testControl } from '../fixture.ts';
import { receipt } from '../usage/fixture.ts';
import { rulePreview } from './preview.ts';
import { chosenBlocks } from './preview-traffic.ts';
import { ruleSet } from './set.ts';

async function sold() {
  const control = await testControl();
  const { manager, tenantId } = await control.tenant();
  const { endpointId, groups } = await control.endpoint(manager, 1);
  const { groupId, servedModelId } = groups[0]!;
  await control.provisioned();
  /** `count` requests a second from `agoMs` before now on. */
  const came = (count: number, agoMs: number, perS = 20) =>
    insertReceipts(
      control.store.db,
      Array.from({ length: count }, (_, i) => {
        const receivedAtMs = control.nowMs - agoMs + Math.floor((i * 1_000) / perS);
        const names = { requestId: `${agoMs}-${i}`, tenantId, endpointId, servedModelId };
        return receipt(i, { ...names, receivedAtMs, endedAtMs: receivedAtMs + 900 });
      }),
    );
  return { control, manager, groupId, came };
}

test('a rule is priced on what came, beside today’s and the fewest fixed units', async () => {
  const { control, manager, groupId, came } = await sold();
  await came(600, 7_200_000);
  const wanted = { groupId, maxUnits: 4, hours: 3, ttftMsMax: 60_000, tpotMsMax: 10_000 };
  const first = await control.call(rulePreview, manager, wanted);
  expect(first).toMatchObject({ hours: 3, current: null, rule: { baseUnitHours: 3 }, fixed: { units: 1 }, notes: [] });
  expect(first.rule.metShare).toBe(1);
  // Base units alone at the price in force; what is added comes on top.
  expect(Number(first.rule.cost)).toBeGreaterThanOrEqual(Number(first.fixed!.cost));
  expect(first.sentence).toContain(`cost ${first.rule.cost}`);
  await control.call(ruleSet, manager, { groupId, maxUnits: 4 });
  const second = await control.call(rulePreview, manager, { ...wanted, minUnits: 2 });
  expect(second.rule.baseUnitHours).toBe(6);
  expect(second.current).toMatchObject({ baseUnitHours: 3 });
});

test('a given trace counts instead; without one, a group that nobody asked has no history', async () => {
  const { control, manager, groupId } = await sold();
  const none = await refusal(control.call(rulePreview, manager, { groupId, maxUnits: 4 }));
  expect(none).toMatchObject({ code: 'not_found', details: { hours: 168 } });
  const line = (atMs: number) =>
    JSON.stringify({ atMs, promptTokens: 100, cachedTokens: 0, outputTokens: 5, key: 'k', endpoint: 'e' });
  const trace = [0, 1_000, 1_800_000].map(line).join('\n');
  const answer = await control.call(rulePreview, manager, { groupId, maxUnits: 2, trace });
  expect(answer).toMatchObject({ hours: 0.5, rule: { baseUnitHours: 0.5, unitsMin: 1 } });
  const bad = await refusal(control.call(rulePreview, manager, { groupId, maxUnits: 2, trace: `${line(0)}\n{}` }));
  expect(bad.message).toContain('line 2');
  const faulty = await refusal(control.call(rulePreview, manager, { groupId, maxUnits: 1, minUnits: 2, trace }));
  expect(faulty.details['faults']).toMatchObject([{ field: 'maxUnits' }]);
});

test('more traffic than is simulated is sampled and says so; the sample stands for all', async () => {
  const { control, manager, groupId, came } = await sold();
  for (const hour of [1, 5, 9, 13, 17, 21]) await came(hour === 9 ? 60 : 40, hour * 3_600_000, 1);
  const answer = await control.call(rulePreview, manager, { groupId, maxUnits: 3, hours: 24, requestsMax: 150 });
  expect(answer.notes[0]).toMatch(/^a sample: \d+ requests/);
  expect(answer.hours).toBeCloseTo(24);
});

test('blocks: the busiest stands for itself, the others for the rest', () => {
  const chosen = chosenBlocks([10, 10, 100, 10, 10, 0], 120);
  expect(chosen[0]).toEqual({ block: 2, weight: 1 });
  expect(chosen.slice(1).every(({ block }) => block !== 2)).toBe(true);
  expect(chosen.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(6);
  expect(chosenBlocks([500, 500], 100)).toEqual([{ block: 0, weight: 1 }]);
});
