import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Receipt } from '../../core/commerce/metering.ts';
import { receiptOf } from '../../store/receipts.ts';
import { openStore, type Store } from '../../store/store.ts';
import { receiptRecorder } from './recorder.ts';

function receipt(n: number, changes: Partial<Receipt> = {}): Receipt {
  return {
    requestId: `req-${n}`,
    tenantId: 't-1',
    keyId: 'key-1',
    endpointId: 'ep-1',
    servedModelId: 'sm-1',
    replicaId: 'rep-1',
    kind: 'chat',
    outcome: 'completed',
    cause: 'stop',
    promptTokens: 100,
    cachedTokens: 10,
    outputTokens: 20,
    estimated: { prefillUs: 1000, decodeUs: 2000 },
    actual: { prefillUs: 900, decodeUs: 1800 },
    receivedAtMs: 1_744_531_200_000 + n,
    endedAtMs: 1_744_531_201_000 + n,
    waitMs: 0.25,
    ttftMs: 12.5,
    tpotMs: null,
    ...changes,
  };
}

let store: Store;
let errors: Record<string, unknown>[];
const log = { error: (fields: object, message: string) => errors.push({ ...fields, message }) };
const stored = async () => (await store.db.selectFrom('receipts').selectAll().execute()).map(receiptOf);
const count = async () =>
  (
    await store.db
      .selectFrom('receipts')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .executeTakeFirstOrThrow()
  ).n;

beforeEach(async () => {
  store = await openStore({ path: ':memory:' });
  errors = [];
});
afterEach(() => store.close());

test('what is recorded is stored as it was, once, at the latest 200 ms later', async () => {
  const recorder = receiptRecorder({ db: store.db, log });
  recorder.record(receipt(1));
  recorder.record(receipt(1));
  await expect.poll(stored).toEqual([receipt(1)]);
  recorder.record(receipt(1, { cause: 'length' }));
  recorder.record(receipt(2, { endpointId: null, servedModelId: null, replicaId: null, ttftMs: null }));
  await recorder.flush();
  expect(await stored()).toEqual([
    receipt(1),
    receipt(2, { endpointId: null, servedModelId: null, replicaId: null, ttftMs: null }),
  ]);
  await recorder.close();
  expect(errors).toEqual([]);
});

test('many at once are all written', async () => {
  const recorder = receiptRecorder({ db: store.db, log });
  for (let n = 0; n < 12_345; n++) recorder.record(receipt(n));
  await recorder.flush();
  expect(await count()).toBe(12_345);
  await recorder.close();
});

test('while the disk is full receipts wait; when there is room again they are written', async () => {
  await sql`pragma max_page_count = 1`.execute(store.db);
  const recorder = receiptRecorder({ db: store.db, log });
  for (let n = 0; n < 600; n++) recorder.record(receipt(n));
  await expect.poll(() => errors.length).toBeGreaterThan(0);
  expect(errors[0]).toMatchObject({ err: { code: 'disk_full' }, pending: 600 });
  await sql`pragma max_page_count = 1000000`.execute(store.db);
  await recorder.flush();
  expect(await count()).toBe(600);
  await recorder.close();
});

test('beyond its memory it loses, counts and says so; closing does not wait for a disk that stays full', async () => {
  await sql`pragma max_page_count = 1`.execute(store.db);
  const recorder = receiptRecorder({ db: store.db, log, pendingMax: 1000 });
  for (let n = 0; n < 1234; n++) recorder.record(receipt(n));
  const report = () => errors.find(({ message }) => message === 'receipts were lost');
  await expect.poll(report, { timeout: 5000 }).toMatchObject({ lost: 234 });
  await recorder.close();
  recorder.record(receipt(9999));
  expect(errors.at(-1)).toMatchObject({ lost: 1234, message: 'receipts were lost' });
});

test('a receipt that no table takes is dropped alone', async () => {
  const recorder = receiptRecorder({ db: store.db, log });
  for (let n = 0; n < 100; n++) recorder.record(receipt(n, n === 37 ? { waitMs: Number.NaN } : {}));
  await recorder.close();
  expect(await count()).toBe(99);
  expect(errors).toMatchObject([{ requestId: 'req-37' }, { lost: 1 }]);
});
