import { sql } from 'kysely';
import pg from 'pg';
import { describe, expect, inject, test } from 'vitest';
import { testDatabase } from './fixture.ts';
import { createDatabase } from './local-postgres.ts';
import { run, storeContract, tenant } from './store.case.ts';
import { openStore } from './store.ts';

storeContract();

const moduleUrl = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

describe('PostgreSQL', () => {
  test('an empty database that several processes open at once is migrated once', async () => {
    const postgresUrl = await createDatabase(inject('postgresUrl')!, `empty_${Date.now()}`);
    const script = `import { openStore } from ${moduleUrl('./store.ts')}; await (await openStore(JSON.parse(process.argv[1]))).close();`;
    const starts = Array.from({ length: 4 }, () => run(script, { postgresUrl }));
    const ends = await Promise.all(starts.map((child) => new Promise((resolve) => child.on('exit', resolve))));
    expect(ends).toEqual([0, 0, 0, 0]);
    const store = await openStore({ postgresUrl });
    await store.db.insertInto('tenants').values(tenant('t-1')).execute();
    await store.close();
  });

  test('a transaction that others took back runs again, and of two that read and write across both count', async () => {
    const store = await openStore(await testDatabase());
    await store.db
      .insertInto('facts')
      .values([
        { name: 'a', value: '1' },
        { name: 'b', value: '1' },
      ])
      .execute();
    const bothRead = Promise.withResolvers<void>();
    let reads = 0;
    let runs = 0;
    // Each empties one only while the other is full: one after the other, one of them has to stay full.
    const empty = (name: string) =>
      store.db.transaction().execute(async (trx) => {
        runs += 1;
        const full = await trx.selectFrom('facts').select('name').where('value', '=', '1').execute();
        if (++reads === 2) bothRead.resolve();
        await bothRead.promise;
        if (full.length === 2) await trx.updateTable('facts').set({ value: '0' }).where('name', '=', name).execute();
      });
    await Promise.all([empty('a'), empty('b')]);
    expect(runs).toBe(3);
    expect(await store.db.selectFrom('facts').select('name').where('value', '=', '1').execute()).toHaveLength(1);
    await store.close();
  });

  test('a connection that the server ends fails its transaction alone', async () => {
    const store = await openStore(await testDatabase());
    const cut = store.db.transaction().execute(async (trx) => {
      await trx.insertInto('facts').values({ name: 'a', value: 'b' }).execute();
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
      const other = new pg.Client({ connectionString: inject('postgresUrl')! });
      await other.connect();
      await other.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
      await other.end();
      await trx.insertInto('facts').values({ name: 'c', value: 'd' }).execute();
    });
    await expect(cut).rejects.toThrow();
    expect(await store.db.selectFrom('facts').selectAll().execute()).toEqual([]);
    await store.close();
  });

  test("text with a zero byte is the sender's mistake, not ours", async () => {
    const store = await openStore(await testDatabase());
    const write = store.db.insertInto('facts').values({ name: 'a\u0000b', value: '' }).execute();
    await expect(write).rejects.toMatchObject({ code: 'invalid_request' });
    await store.close();
  });

  test.each([
    ['nobody listens', 'postgres://cubit:secret@127.0.0.1:1/cubit', '127.0.0.1:1/cubit'],
    ['there is no such database', 'other', 'other'],
  ])('when %s the start says so in one line without the password', async (_what, place, named) => {
    const url = place.includes(':') ? place : Object.assign(new URL(inject('postgresUrl')!), { pathname: place }).href;
    const opened = openStore({ postgresUrl: url });
    await expect(opened).rejects.toMatchObject({ code: 'config_invalid', message: expect.stringContaining(named) });
    await expect(opened).rejects.not.toMatchObject({ message: expect.stringContaining('secret') });
  });
});
