import { Kysely } from 'kysely';
import { expect, test } from 'vitest';
import { NodeSqliteDialect, openSqlite } from '../sqlite-dialect.ts';
import * as initial from './0001-initial.ts';
import * as people from './0007-people.ts';

interface Tables {
  tenants: { id: string; name: string; zone: string; currency: string; created_at_ms: number };
  api_keys: {
    id: string;
    tenant_id: string;
    name: string;
    hash: string;
    hint: string;
    scope: string;
    created_at_ms: number;
    role?: string;
  };
}

test('keys that were there may do what they could do before', async () => {
  const db = new Kysely<Tables>({ dialect: new NodeSqliteDialect(() => openSqlite(':memory:')) });
  await initial.up(db as unknown as Kysely<unknown>);
  const made = { name: 'x', created_at_ms: 1 };
  await db
    .insertInto('tenants')
    .values({ id: 't-1', zone: 'UTC', currency: 'CNY', ...made })
    .execute();
  for (const scope of ['inference', 'manage']) {
    const key = { id: scope, tenant_id: 't-1', hash: scope, hint: 'sk', scope, ...made };
    await db.insertInto('api_keys').values(key).execute();
  }
  await people.up(db as unknown as Kysely<unknown>);
  expect(await db.selectFrom('api_keys').select(['scope', 'role']).orderBy('id').execute()).toEqual([
    { scope: 'inference', role: 'inference' },
    { scope: 'manage', role: 'admin' },
  ]);
  await db.destroy();
});
