import { afterEach, beforeEach, expect, test } from 'vitest';
import { testStore } from '../../store/fixture.ts';
import { receiptOf } from '../../store/receipts.ts';
import type { Store } from '../../store/store.ts';
import { receipt } from './fixture.ts';
import { receiptRecorder } from './recorder.ts';

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
  store = await testStore();
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

test('a receipt that no table takes is dropped alone', async () => {
  const recorder = receiptRecorder({ db: store.db, log });
  for (let n = 0; n < 100; n++) recorder.record(receipt(n, n === 37 ? { cause: null as unknown as string } : {}));
  await recorder.close();
  expect(await count()).toBe(99);
  expect(errors).toMatchObject([{ requestId: 'req-37' }, { lost: 1 }]);
});
