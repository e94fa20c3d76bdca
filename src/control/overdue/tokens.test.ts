import { beforeEach, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { insertReceipts } from '../../store/receipts.ts';
import { endpointShow } from '../endpoint/show.ts';
import { OPERATOR, refusal, START_MS, type TestControl, type TestTenant } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { noticeList } from '../notice/list.ts';
import { endpointByToken, type PoolWorld, poolWorld, tokenReceipts } from '../pool/fixture.ts';
import { buildSnapshot } from '../snapshot.ts';
import { StartupTimes } from '../startup-times.ts';
import { statementShow } from '../statement/show.ts';
import { walletShow } from '../wallet/show.ts';
import { walletTopUp } from '../wallet/top-up.ts';

const HOUR_MS = 3_600_000;
let world: PoolWorld;
let control: TestControl;
let tenant: TestTenant;
let endpointId: string;
beforeEach(async () => {
  world = await poolWorld();
  ({ control } = world);
  tenant = await control.tenant('1');
  ({ endpointId } = await endpointByToken(control, tenant));
});

/** A million tokens of answer, 2.00 CNY, at an instant. */
async function use(n: number, atMs: number): Promise<void> {
  const of = { tenantId: tenant.tenantId, endpointId };
  const tokens = { promptTokens: 0, cachedTokens: 0, outputTokens: 1_000_000, receivedAtMs: atMs };
  await insertReceipts(control.store.db, tokenReceipts(world, of, [tokens], n));
}

async function jobsAt(atMs: number): Promise<void> {
  control.nowMs = atMs;
  await runJobs(control);
}

async function suspended(): Promise<boolean | undefined> {
  const snapshot = await buildSnapshot({ ...control.deps, graceServes: true }, 1, new StartupTimes());
  return snapshot.endpoints.get(`${tenant.tenantId}/tokens`)?.suspended;
}

test('what is not billed yet is taken off what is available', async () => {
  await use(1, START_MS);
  const wallet = await control.call(walletShow, tenant.reader, {});
  expect(wallet).toMatchObject({ unbilled: { amount: '2.000000' }, available: { amount: '-1.000000' } });
  expect((await refusal(endpointByToken(control, tenant, 'second'))).code).toBe('payment_required');
});

test('24 hours overdue: it serves until then, then answers 402, and a top-up has it serve again', async () => {
  await use(1, START_MS);
  const chargedMs = START_MS + 2 * HOUR_MS;
  await jobsAt(chargedMs);
  const wallet = await control.call(walletShow, tenant.reader, {});
  expect(wallet.overdue).toEqual({ sinceMs: chargedMs, reclaimAtMs: chargedMs + 24 * HOUR_MS });
  await jobsAt(chargedMs + 24 * HOUR_MS - 1);
  expect(await suspended()).toBe(false);
  await jobsAt(chargedMs + 24 * HOUR_MS);
  expect(await suspended()).toBe(true);
  const shown = await control.call(endpointShow, tenant.reader, { endpointId });
  expect(shown).toMatchObject({ state: 'stopped', suspendedAtMs: chargedMs + 24 * HOUR_MS });
  const { items } = await control.call(noticeList, tenant.reader, { kind: 'overdue_reclaimed' });
  expect(items).toMatchObject([{ detail: { endpointIds: [endpointId], groupIds: [] } }]);
  await control.call(walletTopUp, OPERATOR, { tenantId: tenant.tenantId, amount: '0.50' });
  expect(await suspended()).toBe(true);
  const { changes } = control;
  await control.call(walletTopUp, OPERATOR, { tenantId: tenant.tenantId, amount: '0.50' });
  expect(await suspended()).toBe(false);
  expect(control.changes).toBeGreaterThan(changes);
});

test('a top-up in time clears it; receipts that come after the reclaim are charged, and begin no second time', async () => {
  await use(1, START_MS);
  await jobsAt(START_MS + 2 * HOUR_MS);
  await control.call(walletTopUp, OPERATOR, { tenantId: tenant.tenantId, amount: '1' });
  await jobsAt(START_MS + 30 * HOUR_MS);
  expect(await suspended()).toBe(false);
  await use(2, START_MS + 30 * HOUR_MS);
  await jobsAt(START_MS + 60 * HOUR_MS);
  expect(await suspended()).toBe(true);
  await use(3, START_MS + 31 * HOUR_MS);
  await jobsAt(START_MS + 70 * HOUR_MS);
  expect(await control.store.db.selectFrom('overdues').select('outcome').orderBy('since_ms').execute()).toEqual([
    { outcome: 'cleared' },
    { outcome: 'reclaimed' },
  ]);
  const statement = await control.call(statementShow, tenant.reader, { month: '2026-04' });
  expect(statement).toMatchObject({
    groups: [],
    tokens: [{ endpointId, modelId: 'alpha', requests: 3, outputTokens: 3_000_000, cost: { amount: '6.000000' } }],
    cost: { amount: '6.000000' },
    savings: [],
  });
  expect(await checkLedger(control.store.db)).toMatchObject({ balanced: true, problems: [] });
});

test('money that came while no job ran: nothing is suspended afterwards', async () => {
  await use(1, START_MS);
  await jobsAt(START_MS + 2 * HOUR_MS);
  control.nowMs = START_MS + 40 * HOUR_MS;
  await control.call(walletTopUp, OPERATOR, { tenantId: tenant.tenantId, amount: '5' });
  await runJobs(control);
  expect(await suspended()).toBe(false);
});
