import { afterAll, beforeAll, expect, test } from 'vitest';
import { testDatabase } from '../../store/fixture.ts';
import { checkLedger } from '../../store/ledger.ts';
import { insertReceipts } from '../../store/receipts.ts';
import { openStore, type Store } from '../../store/store.ts';
import { newId } from '../call.ts';
import { receipt } from '../usage/fixture.ts';
import { insertTenant } from './fixture.ts';
import { settle } from './settle.ts';

/** Two processes that write receipts, the same ones too, while two settle. */
const START_MS = Date.parse('2026-04-13T00:00:00+08:00');
let stores: Store[];

beforeAll(async () => {
  const database = await testDatabase();
  stores = [await openStore(database), await openStore(database)];
  const { db } = stores[0]!;
  const tokenPrices = [{ modelId: 'm', input: '1', cachedInput: '1', output: '1' }];
  const document = {
    version: 'v1',
    currency: 'CNY',
    validFrom: new Date(START_MS).toISOString(),
    prices: [],
    tokenPrices,
  };
  const row = { version: 'v1', currency: 'CNY', valid_from_ms: START_MS, source: 'import' as const, created_at_ms: 0 };
  await db
    .insertInto('price_books')
    .values({ ...row, document_json: JSON.stringify(document) })
    .execute();
  const facts = { model_id: 'm', template_id: 'tpl', coefficient: 1, units: 1, created_at_ms: 0 };
  await db
    .insertInto('pools')
    .values({ id: 'pool-1', ...facts, requests_per_minute: 60, tokens_per_minute: 1000 })
    .execute();
  await insertTenant(db, 't-1');
});
afterAll(() => Promise.all(stores.map((store) => store.close())));

test('every receipt is on one bill', async () => {
  const batches = Array.from({ length: 20 }, (_, batch) =>
    Array.from({ length: 10 }, (_, i) =>
      receipt(batch * 8 + i, {
        endpointId: 'ep-t-1',
        servedModelId: 'pool-1',
        receivedAtMs: START_MS + batch * 60_000,
        promptTokens: 1_000_000,
        cachedTokens: 0,
        outputTokens: 0,
      }),
    ),
  );
  const ids = new Set(batches.flat().map(({ requestId }) => requestId));
  const work = batches.flatMap((batch, i) => [
    insertReceipts(stores[i % 2]!.db, batch),
    ...(i % 4 === 0 ? [insertReceipts(stores[(i + 1) % 2]!.db, batch)] : []),
    ...(i % 5 === 0 ? stores.map(({ db }) => settle({ db, now: () => START_MS + (2 + i) * 3_600_000, newId })) : []),
  ]);
  await Promise.all(work);
  const { db } = stores[0]!;
  await settle({ db, now: () => START_MS + 90 * 3_600_000, newId });
  const lines = await db.selectFrom('token_lines').select(['requests', 'amount_micros']).execute();
  expect(lines.reduce((sum, line) => sum + line.requests, 0)).toBe(ids.size);
  expect(lines.reduce((sum, line) => sum + line.amount_micros, 0n)).toBe(BigInt(ids.size) * 1_000_000n);
  expect(await checkLedger(db)).toMatchObject({ balanced: true, problems: [] });
});
