import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore, type Store } from '../../store/store.ts';
import { receipt } from './fixture.ts';
import { receiptRecorder } from './recorder.ts';

let store: Store;
let errors: Record<string, unknown>[];
const log = { error: (fields: object, message: string) => errors.push({ ...fields, message }) };

beforeEach(async () => {
  store = await openStore({ path: ':memory:' });
  errors = [];
});
afterEach(() => store.close());

test('while the disk is full receipts wait; when there is room again they are written', async () => {
  await sql`pragma max_page_count = 1`.execute(store.db);
  const recorder = receiptRecorder({ db: store.db, log });
  for (let n = 0; n < 600; n++) recorder.record(receipt(n));
  await expect.poll(() => errors.length).toBeGreaterThan(0);
  expect(errors[0]).toMatchObject({ err: { code: 'disk_full' }, pending: 600 });
  await sql`pragma max_page_count = 1000000`.execute(store.db);
  await recorder.flush();
  const { n } = await store.db
    .selectFrom('receipts')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  expect(n).toBe(600);
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
