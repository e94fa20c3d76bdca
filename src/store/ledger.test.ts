import fc from 'fast-check';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { move, type Posting } from '../core/commerce/ledger.ts';
import { audit } from './audit.ts';
import { insertAll } from './bulk.ts';
import { testStore } from './fixture.ts';
import { balanceMicros, checkLedger, overdrawnOf, post, postAll } from './ledger.ts';
import type { Store } from './store.ts';

let store: Store;
let ids: number;
const by = { now: () => 7, newId: (kind: string) => `${kind}-${++ids}` };
const posting: Posting = {
  tenantId: 't-1',
  kind: 'top_up',
  idempotencyKey: 'key-1',
  memo: 'first',
  bookedAtMs: 5,
  entries: move(10n ** 17n + 1n, 'cash', 'wallet'),
};
const write = (changes: Partial<Posting> = {}) =>
  store.db.transaction().execute((trx) => post(trx, by, { ...posting, ...changes }));

beforeEach(async () => {
  ids = 0;
  store = await testStore();
  for (const id of ['t-1', 't-2']) {
    await store.db
      .insertInto('tenants')
      .values({ id, name: id, zone: 'UTC', currency: 'CNY', created_at_ms: 0 })
      .execute();
  }
});
afterEach(() => store.close());

test('a posting is made once under its key, and the balance is the sum of the entries', async () => {
  const first = await write();
  expect(first.created).toBe(true);
  expect(await write({ memo: 'again', bookedAtMs: 9 })).toEqual({ ...first, created: false });
  await write({ kind: 'bill', idempotencyKey: 'key-2', entries: move(1n, 'wallet', 'revenue') });
  expect(await balanceMicros(store.db, 't-1')).toBe(10n ** 17n);
  expect(await balanceMicros(store.db, 't-2')).toBe(0n);
  expect(await checkLedger(store.db)).toEqual({ balanced: true, transactions: 2, problems: [] });
});

test.each<[string, Partial<Posting>]>([
  ['amount', { entries: move(5n, 'cash', 'wallet') }],
  ['direction', { entries: move(10n ** 17n + 1n, 'wallet', 'cash') }],
  ['kind', { kind: 'refund' }],
  ['tenant', { tenantId: 't-2' }],
])('the same key with another %s is a conflict', async (_what, changes) => {
  await write();
  await expect(write(changes)).rejects.toMatchObject({ code: 'idempotency_conflict' });
  expect(await checkLedger(store.db)).toMatchObject({ balanced: true, transactions: 1 });
});

test('entries that do not sum to zero are not written', async () => {
  await expect(write({ entries: [{ account: 'wallet', amountMicros: 1n }] })).rejects.toThrow(RangeError);
  expect(await checkLedger(store.db)).toMatchObject({ transactions: 0 });
});

test('the check finds a changed entry, a missing one, and a bill that charged something else', async () => {
  await write();
  const { transactionId } = await write({
    idempotencyKey: 'key-2',
    kind: 'bill',
    entries: move(3n, 'wallet', 'revenue'),
  });
  await sql`insert into bills values ('bill-1', 't-1', 0, 3600000, 'CNY', 4, 0, ${transactionId})`.execute(store.db);
  expect((await checkLedger(store.db)).problems).toEqual(['bill-1: 4 micros, lines 0, charged 3']);
  await sql`update ledger_entries set amount_micros = 2 where account = 'wallet' and amount_micros > 0`.execute(
    store.db,
  );
  await sql`delete from ledger_entries where account = 'revenue'`.execute(store.db);
  expect((await checkLedger(store.db)).problems).toEqual([
    `transaction-1: 2 entries sum to ${1n - 10n ** 17n} micros, not to 0`,
    'transaction-2: 1 entries sum to -3 micros, not to 0',
    `t-1, entry 2: balance ${10n ** 17n + 1n}, not 2`,
    `t-1, entry 3: balance ${10n ** 17n - 2n}, not -1`,
    'bill-1: 4 micros, lines 0, charged 3',
  ]);
});

test('whatever is posted, in whatever batches, the balance kept beside each entry is the sum of the entries', async () => {
  const one = fc.record({
    tenantId: fc.constantFrom('t-1', 't-2'),
    micros: fc.bigInt({ min: 0n, max: 2n ** 60n }),
    out: fc.boolean(),
    key: fc.integer({ min: 0, max: 30 }),
  });
  let run = 0;
  const sums = new Map([
    ['t-1', 0n],
    ['t-2', 0n],
  ]);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(one, { minLength: 1, maxLength: 8, selector: ({ key }) => key }), async (many) => {
      run += 1;
      const postings = many.map(({ tenantId, micros, out, key }): Posting => {
        sums.set(tenantId, sums.get(tenantId)! + (out ? -(micros / 100n) : micros / 100n));
        const entries = out ? move(micros / 100n, 'wallet', 'revenue') : move(micros / 100n, 'cash', 'wallet');
        return { ...posting, tenantId, idempotencyKey: `run ${run} ${key}`, entries };
      });
      await store.db.transaction().execute((trx) => postAll(trx, by, postings));
      // A replay of some of them changes nothing.
      await store.db.transaction().execute((trx) => postAll(trx, by, postings.slice(0, 2)));
      for (const [tenantId, sum] of sums) expect(await balanceMicros(store.db, tenantId)).toBe(sum);
      expect(await overdrawnOf(store.db, [...sums.keys()])).toEqual(
        new Set([...sums].flatMap(([tenantId, sum]) => (sum < 0n ? [tenantId] : []))),
      );
    }),
    { numRuns: 20 },
  );
  expect(await checkLedger(store.db)).toMatchObject({ balanced: true, problems: [] });
});

test('many rows go in by one statement: in order, exact, quotes, nulls and all', async () => {
  const micros = 2n ** 62n + 1n;
  await write();
  const memo = `it's a "memo" \\ with 中文 and \n a line`;
  const rows = Array.from({ length: 1203 }, (_, i) => ({
    transaction_id: 'transaction-1',
    tenant_id: 't-1',
    account: `${memo} ${i}`,
    amount_micros: i % 2 === 0 ? micros : -micros,
    balance_micros: BigInt(i),
  }));
  await store.db.transaction().execute((trx) => insertAll(trx, 'ledger_entries', rows));
  const read = await store.db
    .selectFrom('ledger_entries')
    .select(['transaction_id', 'tenant_id', 'account', 'amount_micros', 'balance_micros'])
    .where('account', 'like', 'it%')
    .orderBy('id')
    .execute();
  expect(read).toEqual(rows);
  expect(await store.db.transaction().execute((trx) => insertAll(trx, 'ledger_entries', []))).toEqual([]);
});

test('an audit row says who, and goes with its transaction', async () => {
  const entry = { verb: 'wallet.top-up', subject: 't-1', tenantId: 't-1', detail: { amountMicros: 5n } };
  await store.db.transaction().execute(async (trx) => {
    await audit(trx, { ...by, actor: { kind: 'operator' } }, entry);
    await audit(trx, { ...by, actor: { kind: 'key', keyId: 'key-9' } }, entry);
  });
  const undone = store.db.transaction().execute(async (trx) => {
    await audit(trx, { ...by, actor: { kind: 'system', job: 'settle' } }, entry);
    throw new Error('undone');
  });
  await expect(undone).rejects.toThrow('undone');
  const rows = await store.db.selectFrom('audit').select(['actor', 'detail_json', 'at_ms']).orderBy('id').execute();
  expect(rows).toEqual([
    { actor: 'operator', detail_json: '{"amountMicros":"5"}', at_ms: 7 },
    { actor: 'key:key-9', detail_json: '{"amountMicros":"5"}', at_ms: 7 },
  ]);
});
