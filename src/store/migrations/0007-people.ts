import { type Kysely, sql } from 'kysely';
import { index, table } from './parts.ts';

/** People, what they belong to, how they are invited and what they sign in with; roles of keys. `store/schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await table(db, 'people')
    .addColumn('email', 'text', (column) => column.notNull().unique())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .execute();
  await table(db, 'memberships')
    .addColumn('person_id', 'text', (column) => column.notNull().references('people.id'))
    .addColumn('tenant_id', 'text', (column) => column.references('tenants.id'))
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('removed_at_ms', 'bigint')
    .execute();
  // Two, since in a unique index no NULL equals another.
  await live(db, 'memberships_live', ['person_id', 'tenant_id']);
  await live(db, 'memberships_live_operator', ['person_id'], 'tenant_id');
  await index(db, 'memberships', ['tenant_id', 'created_at_ms', 'id']);
  await table(db, 'invitations')
    .addColumn('tenant_id', 'text', (column) => column.references('tenants.id'))
    .addColumn('email', 'text', (column) => column.notNull())
    .addColumn('name', 'text')
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('invited_by', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('expires_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('accepted_at_ms', 'bigint')
    .addColumn('revoked_at_ms', 'bigint')
    .execute();
  await index(db, 'invitations', ['tenant_id', 'created_at_ms', 'id']);
  await table(db, 'access_tokens')
    .addColumn('member_id', 'text', (column) => column.notNull().references('memberships.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('hint', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('expires_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('revoked_at_ms', 'bigint')
    .execute();
  await index(db, 'access_tokens', ['member_id', 'created_at_ms', 'id']);
  await keyRoles(db);
}

/** What a key of scope `manage` could do until now is what an admin can. */
async function keyRoles(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('api_keys')
    .addColumn('role', 'text', (column) => column.notNull().defaultTo('inference'))
    .execute();
  await sql`update api_keys set role = 'admin' where scope = 'manage'`.execute(db);
}

function live(db: Kysely<unknown>, name: string, columns: string[], nullColumn?: string) {
  const unique = db.schema.createIndex(name).on('memberships').columns(columns).unique();
  const current = unique.where(sql.ref('removed_at_ms'), 'is', null);
  return (nullColumn === undefined ? current : current.where(sql.ref(nullColumn), 'is', null)).execute();
}
