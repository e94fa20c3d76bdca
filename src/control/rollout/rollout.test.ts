import { beforeEach, expect, test } from 'vitest';
import type { Receipt } from '../../core/commerce/metering.ts';
import { insertReceipts } from '../../store/receipts.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { endpointShow } from '../endpoint/show.ts';
import { endpointUpdate } from '../endpoint/update.ts';
import { type TestControl, type TestTenant, testControl } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { noticeList } from '../notice/list.ts';
import { receipt } from '../usage/fixture.ts';
import { rolloutBack } from './back.ts';
import { rolloutStart } from './start.ts';
import { rolloutStatus } from './status.ts';

const PAUSE_MS = 60_000;
let control: TestControl;
let tenant: TestTenant;
let endpointId: string;
let oldId: string;
let newId: string;
let sent = 0;

beforeEach(async () => {
  control = await testControl();
  tenant = await control.tenant();
  const models = [
    { modelId: 'alpha', units: 1, trafficPercent: 100 },
    { modelId: 'beta', units: 1, trafficPercent: 0 },
  ];
  const endpoint = await control.call(endpointCreate, tenant.manager, { name: 'chat', models });
  endpointId = endpoint.endpointId;
  [oldId, newId] = endpoint.models.map((model) => model.servedModelId) as [string, string];
});

const start = (input: object = {}) =>
  control.call(rolloutStart, tenant.manager, { endpointId, toServedModelId: newId, pauseMs: PAUSE_MS, ...input });
const status = () => control.call(rolloutStatus, tenant.manager, { endpointId });
const back = () => control.call(rolloutBack, tenant.manager, { endpointId });

async function shares(): Promise<number[]> {
  const { models } = await control.call(endpointShow, tenant.manager, { endpointId });
  return [oldId, newId].map((id) => models.find((one) => one.servedModelId === id)?.trafficPercent ?? -1);
}

async function serve(servedModelId: string, count: number, change: Partial<Receipt> = {}): Promise<void> {
  const of = { tenantId: tenant.tenantId, endpointId, servedModelId, receivedAtMs: control.nowMs };
  await insertReceipts(
    control.store.db,
    Array.from({ length: count }, () => receipt(++sent, { ...of, waitMs: 0, ttftMs: 100, ...change })),
  );
}

async function pause(): Promise<void> {
  control.nowMs += PAUSE_MS;
  await runJobs(control);
}

test('a good one goes up step by step to all of the traffic, and back at one command', async () => {
  await start();
  expect(await shares()).toEqual([95, 5]);
  for (const expected of [25, 50, 100]) {
    await serve(oldId, 30);
    await serve(newId, 20);
    await pause();
    expect(await shares()).toEqual([100 - expected, expected]);
  }
  expect(await status()).toMatchObject({ state: 'done', percent: 100, nextStepAtMs: null });
  expect(await back()).toMatchObject({ state: 'taken_back', percent: 0 });
  expect(await shares()).toEqual([100, 0]);
  await expect(back()).rejects.toThrow(/went back already/);
});

test('a step that saw too few requests waits another pause', async () => {
  await start();
  await serve(newId, 19, { outcome: 'failed' });
  await pause();
  expect(await status()).toMatchObject({
    state: 'running',
    percent: 5,
    verdict: 'wait',
    to: { requests: 19, bad: 19 },
  });
  expect(await shares()).toEqual([95, 5]);
});

test.each([
  ['fails', { outcome: 'failed' as const, ttftMs: null }, /failed or found no place/],
  ['has no place', { outcome: 'rejected_capacity' as const, ttftMs: null }, /failed or found no place/],
  ['is slow', { ttftMs: 151 }, /TTFT p95 is 151 ms, 100 ms/],
])('one that %s goes back by itself, and its tenant is told', async (_name, change, reason) => {
  await start();
  await serve(oldId, 40);
  await serve(newId, 25, change);
  await pause();
  expect(await shares()).toEqual([100, 0]);
  expect(await status()).toMatchObject({ state: 'aborted', percent: 0, reason: expect.stringMatching(reason) });
  const { items } = await control.call(noticeList, tenant.manager, { kind: 'rollout_aborted' });
  expect(items).toHaveLength(1);
  expect(String(items[0]?.detail['reason'])).toMatch(reason);
});

test('while it runs nobody else moves the traffic', async () => {
  await start();
  const traffic = [
    { servedModelId: oldId, trafficPercent: 50 },
    { servedModelId: newId, trafficPercent: 50 },
  ];
  const update = () => control.call(endpointUpdate, tenant.manager, { endpointId, traffic });
  await expect(update()).rejects.toThrow(/rollout/);
  await expect(start()).rejects.toThrow(/rollout/);
  await back();
  await update();
  expect(await shares()).toEqual([50, 50]);
});

test('steps have to grow to 100, and both models have to be the endpoint’s', async () => {
  await expect(start({ steps: [5, 5, 100] })).rejects.toThrow(/grow/);
  await expect(start({ steps: [5, 50] })).rejects.toThrow(/100/);
  await expect(start({ toServedModelId: 'sm-x' })).rejects.toThrow(/none of this endpoint/);
  await expect(start({ fromServedModelId: newId })).rejects.toThrow(/another/);
  await expect(status()).rejects.toThrow(/There is no rollout/);
});
