import { expect, test } from 'vitest';
import { testDatabase } from '../../store/fixture.ts';
import { insertReceipts } from '../../store/receipts.ts';
import { openStore } from '../../store/store.ts';
import { receipt } from './fixture.ts';

test('gateways that write receipts of the same keys at once add up to all of them, each once', async () => {
  const database = await testDatabase();
  const stores = [await openStore(database), await openStore(database), await openStore(database)];
  const batch = (n: number) => Array.from({ length: 20 }, (_, i) => receipt(n * 10 + i, { keyId: `key-${i % 4}` }));
  // Batches overlap by half: every receipt but the outermost comes twice, from another gateway.
  await Promise.all(
    stores.map(async ({ db }, s) => {
      for (let n = s; n < 30; n += stores.length) await insertReceipts(db, batch(n));
    }),
  );
  const { db } = stores[0]!;
  const count = await db
    .selectFrom('usage_quarters')
    .select((eb) => [eb.fn.sum('requests').as('requests'), eb.fn.sum('decode_us').as('work')])
    .executeTakeFirstOrThrow();
  expect([Number(count.requests), Number(count.work)]).toEqual([310, 310 * 1800]);
  await Promise.all(stores.map((store) => store.close()));
});
