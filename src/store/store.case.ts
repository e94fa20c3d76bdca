import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { beforeEach, describe, expect, test } from 'vitest';
import { testDatabase } from './fixture.ts';
import { isUnwritable } from './storage-error.ts';
import { openStore, type Store, type StoreOptions } from './store.ts';

export const tenant = (id: string) => ({ id, name: id, zone: 'Asia/Shanghai', currency: 'CNY', created_at_ms: 1 });

export async function post(store: Store, id: string, amount: bigint): Promise<void> {
  await store.db
    .insertInto('ledger_transactions')
    .values({ id, tenant_id: 't-1', kind: 'top_up', idempotency_key: id, memo: '', booked_at_ms: 1, created_at_ms: 1 })
    .execute();
  await store.db
    .insertInto('ledger_entries')
    .values({ transaction_id: id, tenant_id: 't-1', account: 'wallet', amount_micros: amount, balance_micros: amount })
    .execute();
}

const moduleUrl = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

/** Runs a module's text in a process of its own; `database` is its first argument, as JSON. */
export function run(script: string, database: StoreOptions) {
  const args = ['--input-type=module', '-e', script, JSON.stringify(database)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** What every store does. On PostgreSQL in the project `postgres`, else on SQLite. */
export function storeContract(): void {
  let database: StoreOptions;
  beforeEach(async () => {
    database = await testDatabase();
  });

  describe('open and migrate', () => {
    test('a second opening finds the tables and the rows', async () => {
      const first = await openStore(database);
      await first.db.insertInto('tenants').values(tenant('t-1')).execute();
      await first.close();
      const second = await openStore(database);
      expect(await second.db.selectFrom('tenants').selectAll().execute()).toEqual([tenant('t-1')]);
      await second.close();
    });
    test('of two processes that start together each migration is run by one', async () => {
      const script = `import { openStore } from ${moduleUrl('./store.ts')}; await (await openStore(JSON.parse(process.argv[1]))).close();`;
      const starts = [run(script, database), run(script, database), run(script, database)];
      expect(await Promise.all(starts.map((child) => once(child, 'exit')))).toEqual(starts.map(() => [0, null]));
      const store = await openStore(database);
      const names = await sql<{ name: string }>`select name from migrations`.execute(store.db);
      expect(names.rows.map((row) => row.name)).toEqual([
        '0001-initial',
        '0002-leases',
        '0003-prepaid',
        '0004-gate',
        '0005-price-books',
        '0006-pay-per-token',
        '0007-people',
        '0008-notify',
        '0009-ledger',
        '0010-elastic',
        '0015-load-profiles',
      ]);
      await store.close();
    });
    test('a database of a newer version is refused', async () => {
      const store = await openStore(database);
      await sql`insert into migrations values ('9999-later')`.execute(store.db);
      await store.close();
      await expect(openStore(database)).rejects.toMatchObject({ code: 'config_invalid' });
    });
  });

  describe('values', () => {
    test('foreign keys hold', async () => {
      const store = await openStore(database);
      await expect(post(store, 'txn-1', 1n)).rejects.toSatisfy(isUnwritable);
      await store.close();
    });

    test('money is a bigint past 2^53, everything else a number', async () => {
      const store = await openStore(database);
      await store.db.insertInto('tenants').values(tenant('t-1')).execute();
      const large = 2n ** 62n + 1n;
      await post(store, 'txn-1', large);
      await post(store, 'txn-2', -large);
      const rows = await store.db.selectFrom('ledger_entries').selectAll().orderBy('id').execute();
      expect(rows.map((row) => [row.id, row.amount_micros])).toEqual([
        [1, large],
        [2, -large],
      ]);
      const sum = await store.db
        .selectFrom('ledger_entries')
        .select((eb) => eb.fn.sum<bigint>('amount_micros').as('total_micros'))
        .executeTakeFirstOrThrow();
      expect(sum.total_micros).toBe(0n);
      await store.close();
    });
    test('a count beyond what a number can hold is an error, not a wrong number', async () => {
      const store = await openStore(database);
      await expect(sql`select 9007199254740993 as tokens`.execute(store.db)).rejects.toThrow('too large');
      await store.close();
    });
    test('an endpoint name is free again once its endpoint is deleted', async () => {
      const store = await openStore(database);
      await store.db.insertInto('tenants').values(tenant('t-1')).execute();
      const endpoint = (id: string, deletedAtMs: number | null) => ({
        id,
        tenant_id: 't-1',
        name: 'demo',
        access_mode: 'model_units' as const,
        overflow_policy: 'queue' as const,
        max_wait_ms: 0,
        created_at_ms: 1,
        deleted_at_ms: deletedAtMs,
      });
      await store.db
        .insertInto('endpoints')
        .values([endpoint('ep-1', 5), endpoint('ep-2', 6), endpoint('ep-3', null)])
        .execute();
      const again = store.db.insertInto('endpoints').values(endpoint('ep-4', null)).execute();
      await expect(again).rejects.toSatisfy(isUnwritable);
      await store.close();
    });
  });

  describe('transactions', () => {
    test('transactions run one after the other; statements outside wait for them', async () => {
      const store = await openStore(database);
      await store.db.insertInto('facts').values({ name: 'count', value: '0' }).execute();
      const increment = () =>
        store.db.transaction().execute(async (trx) => {
          const { value } = await trx.selectFrom('facts').select('value').executeTakeFirstOrThrow();
          await new Promise((resolve) => setImmediate(resolve));
          await trx
            .updateTable('facts')
            .set({ value: String(Number(value) + 1) })
            .execute();
        });
      await Promise.all(Array.from({ length: 100 }, increment));
      expect((await store.db.selectFrom('facts').select('value').executeTakeFirstOrThrow()).value).toBe('100');
      await store.close();
    });
    test('a failed transaction leaves nothing and frees the connection', async () => {
      const store = await openStore(database);
      const failing = store.db.transaction().execute(async (trx) => {
        await trx.insertInto('facts').values({ name: 'a', value: 'b' }).execute();
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await store.db.selectFrom('facts').selectAll().execute()).toEqual([]);
      await store.close();
    });
  });
}
