import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Receipt } from '../../core/commerce/metering.ts';
import { testStore } from '../../store/fixture.ts';
import { checkLedger } from '../../store/ledger.ts';
import { insertReceipts } from '../../store/receipts.ts';
import type { Store } from '../../store/store.ts';
import { newId } from '../call.ts';
import { receipt } from '../usage/fixture.ts';
import { insertGroup, insertTenant } from './fixture.ts';
import { settle } from './settle.ts';

const HOUR_MS = 3_600_000;
/** Midnight in Shanghai. */
const START_MS = Date.parse('2026-04-13T00:00:00+08:00');

let store: Store;
let nowMs: number;
beforeEach(async () => {
  store = await testStore();
  nowMs = START_MS;
  await insertPrices('v1', START_MS, '0.80');
  await insertEndpoint('t-1');
});

async function insertPrices(version: string, validFromMs: number, input: string): Promise<void> {
  const validFrom = new Date(validFromMs).toISOString();
  const tokenPrices = [{ modelId: 'm', input, cachedInput: '0.16', output: '2.00' }];
  const document = { version, currency: 'CNY', validFrom, prices: [], tokenPrices };
  const row = { version, currency: 'CNY', valid_from_ms: validFromMs, source: 'import' as const, created_at_ms: 0 };
  await store.db
    .insertInto('price_books')
    .values({ ...row, document_json: JSON.stringify(document) })
    .execute();
}

async function insertEndpoint(tenantId: string, zone = 'Asia/Shanghai'): Promise<void> {
  await insertTenant(store.db, tenantId, zone);
  const facts = { model_id: 'm', template_id: 'tpl', coefficient: 1, units: 1, created_at_ms: 0 };
  await store.db
    .insertInto('pools')
    .values({ id: 'pool-1', ...facts, requests_per_minute: 60, tokens_per_minute: 1000 })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
}

/** 100 prompt tokens, 10 of them cached, and 20 answered unless changed. */
function used(n: number, atMs: number, changes: Partial<Receipt> = {}): Receipt {
  return receipt(n, {
    endpointId: 'ep-t-1',
    servedModelId: 'pool-1',
    receivedAtMs: atMs,
    endedAtMs: atMs + 500,
    ...changes,
  });
}

const write = (...receipts: Receipt[]) => insertReceipts(store.db, receipts);
const run = (atMs: number, makeId = newId) => {
  nowMs = atMs;
  return settle({ db: store.db, now: () => nowMs, newId: makeId });
};
const bills = () => store.db.selectFrom('bills').selectAll().orderBy('hour_from_ms').execute();
const lines = () => store.db.selectFrom('token_lines').selectAll().orderBy('id').execute();

test('an hour by hand: counted per kind of token, charged once, nothing left to do', async () => {
  await write(used(1, START_MS), used(2, START_MS + HOUR_MS - 1));
  expect((await run(START_MS + 2 * HOUR_MS - 1)).bills).toBe(0);
  expect((await run(START_MS + 2 * HOUR_MS)).bills).toBe(1);
  expect((await run(START_MS + 9 * HOUR_MS)).bills).toBe(0);
  // 180 × 0.80 + 20 × 0.16 + 40 × 2.00 = 144 + 3.2 + 80 = 227.2 micros
  expect(await lines()).toMatchObject([
    {
      endpoint_id: 'ep-t-1',
      model_id: 'm',
      requests: 2,
      late_requests: 0,
      input_tokens: 180,
      cached_tokens: 20,
      output_tokens: 40,
      amount_micros: 227n,
      amount_total_micros: 227n,
      carry_picos: 200_000,
      arithmetic:
        '(180 input × 0.800000 + 20 cached × 0.160000 + 40 output × 2.000000) CNY/million (v1) = 0.000227 CNY',
    },
  ]);
  expect(await bills()).toMatchObject([{ hour_from_ms: START_MS, amount_micros: 227n }]);
  expect(await checkLedger(store.db)).toMatchObject({ balanced: true, transactions: 1 });
  expect(await store.db.selectFrom('token_usage').selectAll().execute()).toEqual([]);
});

test('groups and tokens of an hour are one bill', async () => {
  const segments = [{ fromMs: START_MS, units: 1, hourlyPriceMicros: 3_600_000n }];
  await insertGroup(store.db, 't-1', { id: 'ig-1', fromMs: START_MS, endMs: null, segments });
  await write(used(1, START_MS));
  await run(START_MS + 2 * HOUR_MS);
  const [bill] = await bills();
  expect(bill).toMatchObject({ amount_micros: 3_600_000n + 114n });
  expect((await checkLedger(store.db)).balanced).toBe(true);
});

test('what failed costs nothing, also after its first tokens; who leaves pays what the receipt says', async () => {
  const outcomes = ['failed', 'interrupted', 'rejected_capacity', 'expired', 'dry_run', 'cancelled'] as const;
  await write(...outcomes.map((outcome, i) => used(i, START_MS, { outcome, cachedTokens: 0, outputTokens: 1 })));
  await run(START_MS + 2 * HOUR_MS);
  expect(await lines()).toMatchObject([{ requests: 1, input_tokens: 100, output_tokens: 1, amount_micros: 82n }]);
});

test('a receipt that is late goes to the next bill, one that comes again to none', async () => {
  await write(used(1, START_MS));
  await run(START_MS + 2 * HOUR_MS);
  await write(used(1, START_MS), used(2, START_MS + 1), used(2, START_MS + 1), used(3, START_MS + HOUR_MS));
  await run(START_MS + 3 * HOUR_MS);
  expect(await lines()).toMatchObject([
    { requests: 1, late_requests: 0 },
    { requests: 2, late_requests: 1, amount_micros: 227n },
  ]);
  // Long after the last bill: the next hour's, which had none yet.
  await write(used(4, START_MS));
  await run(START_MS + 50 * HOUR_MS);
  expect((await bills()).map((bill) => (bill.hour_from_ms - START_MS) / HOUR_MS)).toEqual([0, 1, 2]);
});

test('a new price starts with the next clock hour, and a late receipt costs what its own hour cost', async () => {
  await insertPrices('v2', START_MS + HOUR_MS / 2, '1.00');
  await write(used(1, START_MS + 0.75 * HOUR_MS));
  await run(START_MS + 2 * HOUR_MS);
  await write(used(2, START_MS), used(3, START_MS + HOUR_MS));
  await run(START_MS + 3 * HOUR_MS);
  const [first, second] = await lines();
  expect(first!.arithmetic).toContain('90 input × 0.800000');
  expect(second!.arithmetic).toMatch(/90 input × 0\.800000 .*\(v1\) \+ \(90 input × 1\.000000 .*\(v2\)/);
});

test('a version of the book without token prices takes none away', async () => {
  await store.db.deleteFrom('price_books').execute();
  await insertPrices('v1', START_MS - HOUR_MS, '0.80');
  const document = { version: 'v2', currency: 'CNY', validFrom: new Date(START_MS).toISOString(), prices: [] };
  const row = { version: 'v2', currency: 'CNY', valid_from_ms: START_MS, source: 'import' as const, created_at_ms: 0 };
  await store.db
    .insertInto('price_books')
    .values({ ...row, document_json: JSON.stringify(document) })
    .execute();
  await write(used(1, START_MS + 1));
  await run(START_MS + 2 * HOUR_MS);
  expect(await lines()).toMatchObject([{ amount_micros: 114n, arithmetic: expect.stringContaining('(v1)') }]);
});

test('without any price the tenant’s bill waits, is told, and holds up nobody else', async () => {
  await store.db.deleteFrom('price_books').execute();
  await insertTenant(store.db, 't-2');
  const segments = [{ fromMs: START_MS, units: 1, hourlyPriceMicros: 3_600_000n }];
  await insertGroup(store.db, 't-2', { id: 'ig-2', fromMs: START_MS, endMs: START_MS + 1000, segments });
  await write(used(1, START_MS));
  const { bills: issued, failures } = await run(START_MS + 2 * HOUR_MS);
  expect({ issued, failed: failures.map(({ tenantId }) => tenantId) }).toEqual({ issued: 1, failed: ['t-1'] });
  await insertPrices('v1', START_MS, '0.80');
  expect((await run(START_MS + 2 * HOUR_MS)).bills).toBe(1);
});

test('hours of a zone that begin at half past', async () => {
  await insertEndpoint('t-3', 'Asia/Kolkata');
  const of = { tenantId: 't-3', endpointId: 'ep-t-3' };
  // 00:00 in Shanghai is 21:30 in Kolkata.
  await write(used(1, START_MS + 0.49 * HOUR_MS, of), used(2, START_MS + 0.5 * HOUR_MS, of));
  await run(START_MS + 9 * HOUR_MS);
  expect((await bills()).map((bill) => (bill.hour_from_ms - START_MS) / HOUR_MS)).toEqual([-0.5, 0.5]);
});

describe('however receipts come', () => {
  const one = fc.record({
    atMs: fc.nat(4 * HOUR_MS),
    lateTurns: fc.nat(4),
    again: fc.boolean(),
    endpoint: fc.nat(1),
    promptTokens: fc.integer({ min: 10, max: 5_000 }),
    outputTokens: fc.nat(3_000),
    outcome: fc.constantFrom('completed' as const, 'cancelled' as const, 'failed' as const),
  });

  test('batches, lateness, doubles, kills and settling at any time give the total worked out by hand', async () => {
    await insertTenant(store.db, 't-9');
    await insertPrices('v2', START_MS + 2 * HOUR_MS, '1.37');
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(one, { maxLength: 25 }),
        fc.array(fc.nat(6), { maxLength: 6 }),
        async (usage, kills) => {
          round += 1;
          for (const table of [
            'token_lines',
            'token_usage',
            'bills',
            'ledger_entries',
            'ledger_transactions',
            'receipts',
          ] as const)
            await store.db.deleteFrom(table).execute();
          const ends = ['ep-t-1', 'ep-t-9'];
          const due = usage.map(({ lateTurns, again, endpoint, atMs, ...rest }, i) => ({
            turn: Math.floor(atMs / HOUR_MS) + lateTurns,
            again,
            endpoint,
            atMs: START_MS + atMs,
            written: used(1000 * round + i, START_MS + atMs, {
              ...rest,
              endpointId: ends[endpoint]!,
              tenantId: endpoint === 0 ? 't-1' : 't-9',
            }),
          }));
          let before: Receipt[] = [];
          for (let turn = 0; turn <= 12; turn += 1) {
            const now = due.filter((each) => each.turn === turn).map((each) => each.written);
            const doubled = due.filter((each) => each.again && each.turn === turn).map((each) => each.written);
            await write(...now, ...doubled, ...before.slice(0, 2));
            before = now;
            let ids = 0;
            const dies = kills[turn % Math.max(1, kills.length)];
            // Its failures are kept by the run; the next turn does what this one could not.
            await run(START_MS + (turn + 1) * HOUR_MS, (kind) => {
              if (dies !== undefined && turn < 12 && ++ids === dies) throw new Error('killed');
              return newId(kind);
            });
          }
          await run(START_MS + 40 * HOUR_MS);
          for (const [index, endpointId] of ends.entries()) {
            const paid = due.filter((each) => each.endpoint === index && each.written.outcome !== 'failed');
            // Prices have two decimals, so hundredths of a micro are whole.
            const exact = paid.reduce((sum, { written, atMs }) => {
              const input = atMs < START_MS + 2 * HOUR_MS ? 80n : 137n;
              const { promptTokens, cachedTokens, outputTokens } = written;
              return (
                sum +
                BigInt(promptTokens - cachedTokens) * input +
                BigInt(cachedTokens) * 16n +
                BigInt(outputTokens) * 200n
              );
            }, 0n);
            const own = (await lines()).filter((line) => line.endpoint_id === endpointId);
            const total = own.reduce((sum, line) => sum + line.amount_micros, 0n);
            const rest = exact - total * 100n;
            expect(rest >= -50n && rest <= 50n).toBe(true);
            expect(own.reduce((sum, line) => sum + line.requests, 0)).toBe(paid.length);
            expect(own.at(-1)?.amount_total_micros ?? 0n).toBe(total);
          }
          expect(await checkLedger(store.db)).toMatchObject({ balanced: true, problems: [] });
        },
      ),
      { numRuns: 12 },
    );
  }, 60_000);
});
