import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, inject, onTestFinished } from 'vitest';
import { createDatabase, dropDatabase, TEMPLATE } from './local-postgres.ts';
import { openStore, type Store, type StoreOptions } from './store.ts';

/** True in the project `postgres`, whose tests run on a real PostgreSQL; elsewhere stores are SQLite's. */
export const onPostgres = () => inject('postgresUrl') !== undefined;

/** A fresh database for the test (or hook, or suite) that calls; several may open it. It is gone after the test. */
export async function testDatabase(): Promise<StoreOptions> {
  const serverUrl = inject('postgresUrl');
  if (serverUrl === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'cubit-store-'));
    afterwards(() => rmSync(folder, { recursive: true, force: true }));
    return { path: join(folder, 'cubit.db') };
  }
  const postgresUrl = await createDatabase(serverUrl, `test_${crypto.randomUUID().replaceAll('-', '')}`, TEMPLATE);
  afterwards(() => dropDatabase(serverUrl, postgresUrl));
  return { postgresUrl };
}

/** A fresh store, closed after the test. */
export async function testStore(): Promise<Store> {
  const store = await openStore(onPostgres() ? await testDatabase() : { path: ':memory:' });
  afterwards(() => store.close());
  return store;
}

/** After the test, or after the suite when that is what calls. */
function afterwards(work: () => Promise<void> | void): void {
  try {
    onTestFinished(async () => work());
  } catch {
    afterAll(async () => work());
  }
}
