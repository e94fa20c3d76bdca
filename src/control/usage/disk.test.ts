import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore, type Store } from '../../store/store.ts';
import { receipt } from './fixture.ts';
import { receiptRecorder } from './recorder.ts';

let store: Store;
let errors: Record<string, unknown>[];
let folder: string;
const log = { error: (fields: object, message: string) => errors.push({ ...fields, message }) };

beforeEach(async () => {
  store = await openStore({ path: ':memory:' });
  errors = [];
  folder = mkdtempSync(join(tmpdir(), 'cubit-journal-'));
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const count = async () =>
  (
    await store.db
      .selectFrom('receipts')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .executeTakeFirstOrThrow()
  ).n;

test('while the disk is full receipts wait; when there is room again they are stored', async () => {
  await sql`pragma max_page_count = 1`.execute(store.db);
  const recorder = receiptRecorder({ db: store.db, folder, log });
  for (let n = 0; n < 600; n++) recorder.record(receipt(n));
  await expect.poll(() => errors.length).toBeGreaterThan(0);
  expect(errors[0]).toMatchObject({ err: { code: 'disk_full' } });
  await sql`pragma max_page_count = 1000000`.execute(store.db);
  await recorder.flush();
  expect(await count()).toBe(600);
  await recorder.close();
});

test('closing does not wait for a store that stays full: the next start stores what it left', async () => {
  await sql`pragma max_page_count = 1`.execute(store.db);
  const first = receiptRecorder({ db: store.db, folder, log });
  for (let n = 0; n < 600; n++) first.record(receipt(n));
  await first.close();
  expect(errors.at(-1)).toMatchObject({ message: 'receipts stay in the journal until the next start' });
  await sql`pragma max_page_count = 1000000`.execute(store.db);
  const second = receiptRecorder({ db: store.db, folder, log });
  await second.flush();
  expect(await count()).toBe(600);
  await second.close();
});

test('beyond its bounds it loses, counts and says so', async () => {
  const recorder = receiptRecorder({ db: store.db, folder, log, limits: { bytesMax: 200_000 } });
  for (let n = 0; n < 1234; n++) recorder.record(receipt(n));
  await recorder.flush();
  const kept = await count();
  expect(kept).toBeGreaterThan(100);
  expect(kept).toBeLessThan(1000);
  await recorder.close();
  expect(errors).toMatchObject([{ lost: 1234 - kept, message: 'receipts were lost' }]);
});

test('a folder that cannot be written stops the start with a message, not a stack', () => {
  expect(() => receiptRecorder({ db: store.db, folder: '/dev/null/journal', log })).toThrow(/data folder/);
});
