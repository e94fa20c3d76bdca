import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Gate } from './gate.ts';
import { lockDataFolder } from './lock.ts';
import { isUnwritable } from './storage-error.ts';
import { openStore, type Store } from './store.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cubit-store-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const moduleUrl = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

const run = (script: string, argument: string) =>
  spawn(process.execPath, ['--input-type=module', '-e', script, argument], { stdio: ['ignore', 'pipe', 'inherit'] });

const tenant = (id: string) => ({ id, name: id, zone: 'Asia/Shanghai', currency: 'CNY', created_at_ms: 1 });

async function post(store: Store, id: string, amount: bigint): Promise<void> {
  await store.db
    .insertInto('ledger_transactions')
    .values({ id, tenant_id: 't-1', kind: 'top_up', idempotency_key: id, memo: '', booked_at_ms: 1, created_at_ms: 1 })
    .execute();
  await store.db
    .insertInto('ledger_entries')
    .values({ transaction_id: id, tenant_id: 't-1', account: 'wallet', amount_micros: amount })
    .execute();
}

describe('open and migrate', () => {
  test('a second opening finds the tables and the rows', async () => {
    const path = join(folder, 'cubit.db');
    const first = await openStore({ path });
    await first.db.insertInto('tenants').values(tenant('t-1')).execute();
    await first.close();
    const second = await openStore({ path });
    expect(await second.db.selectFrom('tenants').selectAll().execute()).toEqual([tenant('t-1')]);
    await second.close();
  });

  test('of two processes that start together each migration is run by one', async () => {
    const path = join(folder, 'cubit.db');
    const script = `import { openStore } from ${moduleUrl('./store.ts')}; await (await openStore({ path: process.argv[1] })).close();`;
    const starts = [run(script, path), run(script, path), run(script, path)];
    expect(await Promise.all(starts.map((child) => once(child, 'exit')))).toEqual(starts.map(() => [0, null]));
    const store = await openStore({ path });
    const names = await sql<{ name: string }>`select name from migrations`.execute(store.db);
    expect(names.rows.map((row) => row.name)).toEqual(['0001-initial', '0002-leases', '0003-prepaid']);
    await store.close();
  });

  test('commits reach the disk before they are answered, and foreign keys hold', async () => {
    const store = await openStore({ path: join(folder, 'cubit.db') });
    expect((await sql`pragma journal_mode`.execute(store.db)).rows).toEqual([{ journal_mode: 'wal' }]);
    expect((await sql`pragma synchronous`.execute(store.db)).rows).toEqual([{ synchronous: 2 }]);
    await expect(post(store, 'txn-1', 1n)).rejects.toThrow('FOREIGN KEY');
    await store.close();
  });

  test('nobody else on the machine reads the database: it holds keys of adopted servers', async () => {
    const store = await openStore({ path: join(folder, 'cubit.db') });
    await store.db.insertInto('tenants').values(tenant('t-1')).execute();
    const modes = readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o077]);
    expect(modes).toEqual(
      expect.arrayContaining([
        ['cubit.db', 0],
        ['cubit.db-wal', 0],
      ]),
    );
    expect(modes.every(([, others]) => others === 0)).toBe(true);
    await store.close();
  });

  test('a database of a newer version is refused', async () => {
    const path = join(folder, 'cubit.db');
    const store = await openStore({ path });
    await sql`insert into migrations values ('9999-later')`.execute(store.db);
    await store.close();
    await expect(openStore({ path })).rejects.toMatchObject({ code: 'config_invalid' });
  });

  test('a file that is no database is refused', async () => {
    const path = join(folder, 'cubit.db');
    writeFileSync(path, 'x'.repeat(8192));
    await expect(openStore({ path })).rejects.toMatchObject({ code: 'config_invalid' });
  });

  test('a full disk is disk_full, changes nothing, and the store goes on', async () => {
    const store = await openStore({ path: join(folder, 'cubit.db') });
    await store.db.insertInto('tenants').values(tenant('t-1')).execute();
    await sql`pragma max_page_count = 1`.execute(store.db); // as small as it is now
    const fill = store.db.transaction().execute(async (trx) => {
      for (let i = 0; i < 1000; i++)
        await trx
          .insertInto('facts')
          .values({ name: `f${i}`, value: 'x'.repeat(1000) })
          .execute();
    });
    await expect(fill).rejects.toMatchObject({ code: 'disk_full' });
    await sql`pragma max_page_count = 1000000`.execute(store.db);
    expect(await store.db.selectFrom('facts').selectAll().execute()).toEqual([]);
    await store.db.insertInto('facts').values({ name: 'a', value: 'b' }).execute();
    await store.close();
  });
});

describe('values', () => {
  test('money is a bigint past 2^53, everything else a number', async () => {
    const store = await openStore({ path: ':memory:' });
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
    const store = await openStore({ path: ':memory:' });
    await expect(sql`select 9007199254740993 as tokens`.execute(store.db)).rejects.toThrow('too large');
    await store.close();
  });

  test('an endpoint name is free again once its endpoint is deleted', async () => {
    const store = await openStore({ path: ':memory:' });
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

describe('one connection', () => {
  test('transactions run one after the other; statements outside wait for them', async () => {
    const store = await openStore({ path: ':memory:' });
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
    const store = await openStore({ path: ':memory:' });
    const failing = store.db.transaction().execute(async (trx) => {
      await trx.insertInto('facts').values({ name: 'a', value: 'b' }).execute();
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await store.db.selectFrom('facts').selectAll().execute()).toEqual([]);
    await store.close();
  });

  test('waiting is bounded in time and number, and first come is first served', async () => {
    const gate = new Gate({ queueMax: 2, waitMsMax: 20 });
    await gate.enter();
    const late = gate.enter();
    const order: string[] = [];
    const second = gate.enter().then(() => order.push('second'));
    await expect(gate.enter()).rejects.toMatchObject({ code: 'internal' });
    gate.leave();
    await late;
    order.push('late');
    gate.leave();
    await second;
    expect(order).toEqual(['late', 'second']);
    await expect(gate.enter()).rejects.toMatchObject({ code: 'internal' }); // 20 ms: "second" never leaves
    gate.leave();
    await gate.enter();
  });
});

describe('the lock of a data folder', () => {
  const holder = `import { lockDataFolder } from ${moduleUrl('./lock.ts')};
    lockDataFolder(process.argv[1]); console.log('held'); setInterval(() => {}, 1000);`;

  test('a second start is refused and told who is there; a kill -9 leaves no lock behind', async () => {
    const child = run(holder, folder);
    await once(child.stdout, 'data');
    expect(() => lockDataFolder(folder)).toThrow(
      expect.objectContaining({ code: 'data_folder_locked', message: expect.stringContaining(`process ${child.pid}`) }),
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    const lock = lockDataFolder(folder);
    expect(() => lockDataFolder(folder)).toThrow(expect.objectContaining({ details: { folder, pid: process.pid } }));
    lock.release();
    lock.release();
    lockDataFolder(folder).release();
  });

  test('a folder that cannot be made says so', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(() => lockDataFolder(join(file, 'data'))).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });
});
