import { type Kysely, sql } from 'kysely';
import { index, table } from './parts.ts';

/** What an order has to pass: quota, access, the agreement. `store/schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await table(db, 'quotas')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('template_id', 'text', (column) => column.notNull())
    .addColumn('units', 'bigint', (column) => column.notNull())
    .addColumn('updated_at_ms', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('quotas_once', ['tenant_id', 'template_id'])
    .execute();
  await table(db, 'accesses')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('feature', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('note', 'text')
    .addColumn('updated_at_ms', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('accesses_once', ['tenant_id', 'feature'])
    .execute();
  await applicationTable(db);
  await agreementTables(db);
}

async function agreementTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('agreement_texts')
    .addColumn('sha256', 'text', (column) => column.notNull().primaryKey())
    .addColumn('version', 'text', (column) => column.notNull())
    .addColumn('title', 'text', (column) => column.notNull())
    .addColumn('valid_from_ms', 'bigint', (column) => column.notNull())
    .addColumn('text', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .execute();
  await index(db, 'agreement_texts', ['version', 'created_at_ms']);
  await table(db, 'agreement_acceptances')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('version', 'text', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull().references('agreement_texts.sha256'))
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('agreement_acceptances_once', ['tenant_id', 'sha256'])
    .execute();
  await index(db, 'agreement_acceptances', ['tenant_id', 'created_at_ms', 'id']);
  await index(db, 'agreement_acceptances', ['created_at_ms', 'id']);
}

async function applicationTable(db: Kysely<unknown>): Promise<void> {
  await table(db, 'applications')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('about', 'text', (column) => column.notNull())
    .addColumn('units', 'bigint')
    .addColumn('granted_units', 'bigint')
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('note', 'text')
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('decided_at_ms', 'bigint')
    .addColumn('decided_by', 'text')
    .execute();
  await db.schema
    .createIndex('applications_pending')
    .on('applications')
    .columns(['tenant_id', 'kind', 'about'])
    .unique()
    .where(sql.ref('state'), '=', sql.lit('pending'))
    .execute();
  await index(db, 'applications', ['tenant_id', 'created_at_ms', 'id']);
  await index(db, 'applications', ['created_at_ms', 'id']);
}
