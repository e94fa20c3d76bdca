import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import type { Receipt } from '../../core/commerce/metering.ts';
import { testStore } from '../../store/fixture.ts';
import { checkLedger } from '../../store/ledger.ts';
import { insertReceipts } from '../../store/receipts.ts';
import type { Store } from '../../store/store.ts';
import { type ControlDeps, callVerb, newId } from '../call.ts';
import { receipt as receiptOf } from '../usage/fixture.ts';
import { usageList } from '../usage/list.ts';
import { usageSummary } from '../usage/summary.ts';
import type { Actor, Verb } from '../verb.ts';
import { walletEntries } from '../wallet/entries.ts';
import { walletShow } from '../wallet/show.ts';
import { walletTopUp } from '../wallet/top-up.ts';
import { insertGroup, insertTenant } from './fixture.ts';
import { billList } from './list.ts';
import { billPreview } from './preview.ts';
import { billSettle } from './settle-now.ts';
import { billShow } from './show.ts';

const at = (time: string) => Date.parse(`2025-04-13T${time}+08:00`);
const operator: Actor = { kind: 'operator' };
const key = (tenantId: string, scope: 'inference' | 'manage' = 'manage'): Actor => ({
  kind: 'tenant',
  tenantId,
  keyId: `key-${tenantId}`,
  scope,
});

let store: Store;
let nowMs: number;

function call<I extends z.ZodObject, O extends z.ZodType>(
  verb: Verb<I, O>,
  actor: Actor,
  input: z.input<I>,
  idempotencyKey: string | null = null,
): Promise<z.output<O>> {
  const deps = { db: store.db, now: () => nowMs, changed: () => {} } as unknown as ControlDeps;
  return callVerb(deps, verb, { actor, input, idempotencyKey, requestId: newId('request') });
}

beforeEach(async () => {
  store = await testStore();
  nowMs = at('23:00:00');
  await insertTenant(store.db, 't-1');
  await insertTenant(store.db, 't-2');
  const fromMs = at('16:00:00');
  await insertGroup(store.db, 't-1', {
    id: 'ig-1',
    fromMs,
    endMs: at('18:20:31'),
    segments: [{ fromMs, units: 1, hourlyPriceMicros: 3_600_000n }],
  });
});
afterEach(async () => {
  expect(await checkLedger(store.db)).toMatchObject({ balanced: true, problems: [] });
  await store.close();
});

describe('bills', () => {
  test('a preview shows the arithmetic of what was not billed yet', async () => {
    expect(await call(billPreview, key('t-1', 'inference'), {})).toEqual({
      tenantId: 't-1',
      billedToMs: null,
      atMs: nowMs,
      lines: [
        {
          groupId: 'ig-1',
          endpointId: 'ep-t-1',
          unitSeconds: 8431,
          amount: { amount: '8.431000', currency: 'CNY' },
          priceVersions: ['v1'],
          arithmetic: '8,431 s × 1 unit × 3.600000 CNY/h ÷ 3600 = 8.431000 CNY',
        },
      ],
      total: { amount: '8.431000', currency: 'CNY' },
    });
    nowMs = at('18:10:00'); // 16:00–17:00 is due
    expect(await call(billSettle, operator, {})).toEqual({ bills: 1, more: false, failedTenantIds: [] });
    const preview = await call(billPreview, operator, { tenantId: 't-1' });
    expect(preview).toMatchObject({ billedToMs: at('17:00:00'), total: { amount: '4.200000', currency: 'CNY' } });
    expect(preview.lines[0]?.arithmetic).toBe('4,200 s × 1 unit × 3.600000 CNY/h ÷ 3600 = 4.200000 CNY');
  });

  test('lists are newest first, a page at a time, and a bill opens to its lines', async () => {
    await call(billSettle, operator, {});
    const first = await call(billList, key('t-1'), { limit: 2 });
    expect(first.items.map((bill) => bill.hourFromMs)).toEqual([at('18:00:00'), at('17:00:00')]);
    const second = await call(billList, key('t-1'), { limit: 2, cursor: first.nextCursor ?? '' });
    expect(second.items.map((bill) => bill.hourFromMs)).toEqual([at('16:00:00')]);
    expect(second.nextCursor).toBeNull();
    expect(await call(billShow, key('t-1'), { billId: first.items[0]?.billId ?? '' })).toMatchObject({
      amount: { amount: '1.231000', currency: 'CNY' },
      lines: [{ groupId: 'ig-1', unitSeconds: 1231, unitSecondsTotal: 8431, amountTotal: { amount: '8.431000' } }],
    });
  });

  test('another tenant sees none of it', async () => {
    await call(billSettle, operator, {});
    const [bill] = (await call(billList, operator, {})).items;
    expect((await call(billList, key('t-2'), {})).items).toEqual([]);
    await expect(call(billShow, key('t-2'), { billId: bill?.billId ?? '' })).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(call(billList, key('t-2'), { tenantId: 't-1' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(call(billPreview, key('t-2'), { tenantId: 't-1' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(call(walletShow, key('t-2'), { tenantId: 't-1' })).rejects.toMatchObject({ code: 'not_found' });
    await expect(call(walletEntries, key('t-2'), { tenantId: 't-1' })).rejects.toMatchObject({ code: 'not_found' });
    expect((await call(billPreview, key('t-2'), {})).lines).toEqual([]);
  });

  test('only the operator moves money', async () => {
    const topUp = call(walletTopUp, key('t-1'), { tenantId: 't-1', amount: '1' });
    await expect(topUp).rejects.toMatchObject({ code: 'forbidden' });
    await expect(call(billSettle, key('t-1'), {})).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('wallets', () => {
  const topUp = (amount: string, reference?: string, idempotencyKey?: string) =>
    call(walletTopUp, operator, { tenantId: 't-1', amount, ...(reference && { reference }) }, idempotencyKey ?? null);

  test('top-ups less bills is the balance; what is not billed yet is told apart', async () => {
    expect(await topUp('100.5')).toMatchObject({ balance: { amount: '100.500000', currency: 'CNY' } });
    nowMs = at('18:10:00');
    await call(billSettle, operator, {});
    expect(await call(walletShow, key('t-1'), {})).toMatchObject({
      balance: { amount: '96.900000' },
      unbilled: { amount: '4.200000' },
      available: { amount: '92.700000' },
    });
    const entries = await call(walletEntries, key('t-1'), {});
    expect(entries.items.map((entry) => [entry.kind, entry.amount.amount])).toEqual([
      ['top_up', '100.500000'],
      ['bill', '-3.600000'],
    ]);
  });

  test('one payment is booked once, by its reference or its Idempotency-Key', async () => {
    const first = await topUp('10', 'wire-1');
    expect(await topUp('10', 'wire-1')).toEqual(first);
    await expect(topUp('11', 'wire-1')).rejects.toMatchObject({ code: 'idempotency_conflict' });
    const keyed = await topUp('5', undefined, 'key-1');
    expect((await topUp('5', undefined, 'key-1')).transactionId).toBe(keyed.transactionId);
    await expect(topUp('6', undefined, 'key-1')).rejects.toMatchObject({ code: 'idempotency_conflict' });
    await Promise.all(Array.from({ length: 5 }, () => topUp('1', 'wire-2')));
    await Promise.all([topUp('1'), topUp('1')]);
    expect((await call(walletShow, key('t-1'), {})).balance.amount).toBe('18.000000');
    const audits = await store.db.selectFrom('audit').selectAll().where('verb', '=', 'wallet.top-up').execute();
    expect(audits.map((row) => row.actor)).toEqual(Array(5).fill('operator'));
  });

  test.each(['0', '-1', '0.0000001', '1e3', '', '1000000000.000001', 'ten'])('%j is no top-up', async (amount) => {
    await expect(topUp(amount)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('a tenant that does not exist has no wallet', async () => {
    const lost = call(walletTopUp, operator, { tenantId: 't-9', amount: '1' });
    await expect(lost).rejects.toMatchObject({ code: 'not_found' });
    await expect(call(walletShow, operator, {})).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

describe('usage', () => {
  const receipt = (n: number, changes: Partial<Receipt> = {}): Receipt =>
    receiptOf(n, {
      endpointId: 'ep-t-1',
      servedModelId: 'sm-t-1',
      receivedAtMs: nowMs - 60_000 + n,
      endedAtMs: nowMs,
      waitMs: 0,
      ttftMs: 10,
      tpotMs: 2,
      ...changes,
    });

  beforeEach(() =>
    insertReceipts(store.db, [
      receipt(1),
      receipt(2),
      receipt(3, { outcome: 'rejected_capacity', outputTokens: 0, actual: { prefillUs: 0, decodeUs: 0 } }),
      receipt(4, { tenantId: 't-2', endpointId: 'ep-t-2' }),
      receipt(5, { receivedAtMs: nowMs - 2 * 86_400_000 }),
    ]),
  );

  test('receipts come newest first and can be filtered', async () => {
    const ids = async (input: z.input<typeof usageList.input>, actor = key('t-1')) =>
      (await call(usageList, actor, input)).items.map((item) => item.requestId);
    expect(await ids({})).toEqual(['req-3', 'req-2', 'req-1', 'req-5']);
    expect(await ids({ outcome: 'rejected_capacity' })).toEqual(['req-3']);
    expect(await ids({ endpointId: 'ep-t-2' })).toEqual([]);
    expect(await ids({}, operator)).toHaveLength(5);
    const { nextCursor } = await call(usageList, key('t-1'), { limit: 1 });
    expect(await ids({ cursor: nextCursor ?? '' })).toEqual(['req-2', 'req-1', 'req-5']);
  });

  test('the summary adds them up by endpoint and outcome', async () => {
    const { items } = await call(usageSummary, key('t-1'), {});
    expect(items).toEqual([
      {
        endpointId: 'ep-t-1',
        outcome: 'completed',
        requests: 2,
        promptTokens: 200,
        cachedTokens: 20,
        outputTokens: 40,
        estimatedUs: 6000,
        actualUs: 5400,
      },
      expect.objectContaining({ outcome: 'rejected_capacity', requests: 1, outputTokens: 0, actualUs: 0 }),
    ]);
    const wide = await call(usageSummary, key('t-1'), { fromMs: nowMs - 3 * 86_400_000 });
    expect(wide.items[0]).toMatchObject({ requests: 3 });
    const tooWide = call(usageSummary, key('t-1'), { fromMs: 0 });
    await expect(tooWide).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
