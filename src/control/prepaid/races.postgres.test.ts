import { expect, test } from 'vitest';
import { testDatabase } from '../../store/fixture.ts';
import { checkLedger } from '../../store/ledger.ts';
import { openStore } from '../../store/store.ts';
import { TestControl, type TestTenant } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { orderPreviewUnsubscribe } from '../order/preview-unsubscribe.ts';
import { orderRenew } from '../order/renew.ts';
import { orderResize } from '../order/resize.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { accountsOf, buy, DAY_MS } from './fixture.ts';

/** Prepaid groups under two control planes that share one PostgreSQL. */
const ROUNDS = 4;
const TERM_MICROS = 3_456_000_000n;

async function twoControls(): Promise<[TestControl, TestControl]> {
  const database = await testDatabase();
  const controls = [new TestControl(await openStore(database)), new TestControl(await openStore(database))] as const;
  for (const control of controls) control.fleet.slots = 1000;
  return [...controls];
}

async function close(...controls: TestControl[]): Promise<void> {
  expect(await checkLedger(controls[0]!.store.db)).toMatchObject({ balanced: true, problems: [] });
  for (const control of controls) await control.store.close();
}

const codeOf = (end: PromiseSettledResult<unknown>) =>
  end.status === 'fulfilled' ? 'done' : (end.reason as { code: string }).code;

async function unearned(control: TestControl): Promise<bigint> {
  return (await accountsOf(control))['unearned'] ?? 0n;
}

test('renewing and unsubscribing at once: the group ends whole and no money stays behind', async () => {
  const [a, b] = await twoControls();
  for (let round = 0; round < ROUNDS; round++) {
    const tenant = await a.tenant('20000');
    const groupId = await buy(a, tenant);
    const { quoteId } = await a.call(orderPreviewUnsubscribe, tenant.manager, { groupId });
    const unsubscribe = () => a.call(orderUnsubscribe, tenant.manager, { groupId, quoteId });
    const renew = () => b.call(orderRenew, tenant.manager, { groupId });
    const ends = await Promise.allSettled(round % 2 === 0 ? [unsubscribe(), renew()] : [renew(), unsubscribe()]);
    const codes = ends.map(codeOf);
    // First the end: nothing to renew. First the renewal: what was quoted has changed.
    expect(codes.filter((code) => code === 'done')).toHaveLength(1);
    expect(codes.some((code) => code === 'invalid_transition' || code === 'quote_changed')).toBe(true);
    await endAll(a, tenant, groupId);
    expect(await unearned(a)).toBe(0n);
  }
  await close(a, b);
});

async function endAll(control: TestControl, { manager }: TestTenant, groupId: string): Promise<void> {
  const left = control.call(orderPreviewUnsubscribe, manager, { groupId }).catch(() => null);
  const preview = await left;
  if (preview !== null) await control.call(orderUnsubscribe, manager, { groupId, quoteId: preview.quoteId });
}

test('renewals and resizes at once follow one another: months and money add up', async () => {
  const [a, b] = await twoControls();
  const tenant = await a.tenant('200000');
  const groupId = await buy(a, tenant);
  const renewals = [a, b, a, b].map((control) => control.call(orderRenew, tenant.manager, { groupId }));
  expect((await Promise.allSettled(renewals)).map(codeOf)).toEqual(['done', 'done', 'done', 'done']);
  const terms = await a.store.db.selectFrom('prepaid_terms').selectAll().orderBy('from_ms').execute();
  expect(terms.slice(1).map((term) => term.from_ms)).toEqual(terms.slice(0, -1).map((term) => term.to_ms));
  expect(await unearned(a)).toBe(5n * TERM_MICROS);
  const more = await Promise.allSettled([
    a.call(orderResize, tenant.manager, { groupId, units: 3 }),
    b.call(orderResize, tenant.manager, { groupId, units: 4 }),
    b.call(orderRenew, tenant.manager, { groupId }),
  ]);
  expect(more.slice(0, 2).map(codeOf).toSorted()).toEqual(['done', 'invalid_transition']);
  await close(a, b);
});

test('two that run the background jobs at once do each thing once', async () => {
  const [a, b] = await twoControls();
  const tenant = await a.tenant('7000');
  await buy(a, tenant, { units: 1, autoRenewMonths: 1 });
  for (const control of [a, b]) control.nowMs += 33 * DAY_MS;
  // Where they meet on one row the later gives way and finds the thing done at its next turn.
  await Promise.allSettled([runJobs(a), runJobs(b)]);
  a.errors.length = 0;
  await runJobs(a);
  const kinds = await a.store.db.selectFrom('notices').select('kind').orderBy('due_at_ms').execute();
  expect(kinds.map((row) => row.kind)).toEqual([...Array(4).fill('expiring'), 'renewed']);
  const days = await a.store.db.selectFrom('recognitions').selectAll().execute();
  expect(new Set(days.map((day) => day.to_ms)).size).toBe(33);
  expect(days).toHaveLength(33);
  await close(a, b);
});
