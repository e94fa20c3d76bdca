import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Gate } from './gate.ts';
import { lockDataFolder } from './lock.ts';
import { storeContract, tenant } from './store.case.ts';
import { openStore } from './store.ts';

storeContract();

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cubit-store-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const moduleUrl = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);

const run = (script: string, argument: string) =>
  spawn(process.execPath, ['--input-type=module', '-e', script, argument], { stdio: ['ignore', 'pipe', 'inherit'] });

describe('SQLite', () => {
  test('commits reach the disk before they are answered', async () => {
    const store = await openStore({ path: join(folder, 'cubit.db') });
    expect((await sql`pragma journal_mode`.execute(store.db)).rows).toEqual([{ journal_mode: 'wal' }]);
    expect((await sql`pragma synchronous`.execute(store.db)).rows).toEqual([{ synchronous: 2 }]);
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

describe('waiting for the one connection', () => {
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
