import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { testStore } from '../../store/fixture.ts';
import { lineOf, receiptOf } from '../../store/receipts.ts';
import type { Store } from '../../store/store.ts';
import { receipt } from './fixture.ts';
import { receiptRecorder } from './recorder.ts';

let store: Store;
let errors: Record<string, unknown>[];
let folder: string;
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
  folder = mkdtempSync(join(tmpdir(), 'cubit-journal-'));
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

test('what is recorded is stored as it was, once, at the latest 200 ms later', async () => {
  const recorder = receiptRecorder({ db: store.db, folder, log });
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
  const recorder = receiptRecorder({ db: store.db, folder, log });
  for (let n = 0; n < 12_345; n++) recorder.record(receipt(n));
  await recorder.flush();
  expect(await count()).toBe(12_345);
  await recorder.close();
});

test('a receipt that no table takes is dropped alone', async () => {
  const recorder = receiptRecorder({ db: store.db, folder, log });
  for (let n = 0; n < 100; n++) recorder.record(receipt(n, n === 37 ? { cause: null as unknown as string } : {}));
  await recorder.close();
  expect(await count()).toBe(99);
  expect(errors).toMatchObject([{ line: expect.stringContaining('req-37') }, { lost: 1 }]);
});

test('what a process left behind is stored by the next, once, but for a line that its end tore', async () => {
  const half = lineOf(receipt(4)).slice(0, 100);
  writeFileSync(join(folder, 'receipts-000000000007.jsonl'), `${lineOf(receipt(1))}\n${lineOf(receipt(2))}\n`);
  writeFileSync(join(folder, 'receipts-000000000008.jsonl'), `${lineOf(receipt(2))}\n${lineOf(receipt(3))}\n${half}`);
  writeFileSync(join(folder, 'notes.txt'), 'not of the journal');
  const recorder = receiptRecorder({ db: store.db, folder, log });
  recorder.record(receipt(5));
  await recorder.flush();
  expect((await stored()).map((one) => one.requestId).sort()).toEqual(['req-1', 'req-2', 'req-3', 'req-5']);
  expect(readdirSync(folder)).toEqual(['notes.txt']);
  await recorder.close();
  expect(errors).toEqual([]);
});

const SPOILT: Readonly<Record<number, string>> = { 0: '5', 11: '\0\0\0', 12: '{"id":"req-x"}', 19: '' };

test('lines that a disk has spoilt are dropped alone', async () => {
  const file = join(folder, 'receipts-000000000001.jsonl');
  for (let n = 0; n < 20; n++) appendFileSync(file, `${SPOILT[n] ?? lineOf(receipt(n))}\n`);
  const recorder = receiptRecorder({ db: store.db, folder, log });
  await recorder.flush();
  expect(await count()).toBe(16);
  await recorder.close();
  expect(errors.at(-1)).toMatchObject({ lost: 4 });
});
