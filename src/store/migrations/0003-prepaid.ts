import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../dialect.ts';
import { index, table } from './parts.ts';

/** Prepaid groups: their terms, the money in them, and how it is earned and given back. `store/schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const column of ['months', 'expires_at_ms', 'reclaim_at_ms', 'auto_renew_months', 'next_due_ms']) {
    await db.schema.alterTable('instance_groups').addColumn(column, 'bigint').execute();
  }
  await db.schema.alterTable('instance_groups').addColumn('auto_renew_failure', 'text').execute();
  await index(db, 'instance_groups', ['next_due_ms', 'id']);
  await db.schema.alterTable('orders').addColumn('months', 'bigint').execute();
  await db.schema
    .alterTable('orders')
    .addColumn('amount_micros', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  await termTables(db);
  await recognitionTables(db);
  await overdueTables(db);
}

async function termTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'prepaid_terms')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('group_id', 'text', (column) => column.notNull().references('instance_groups.id'))
    .addColumn('order_id', 'text', (column) => column.notNull())
    .addColumn('from_ms', 'bigint', (column) => column.notNull())
    .addColumn('to_ms', 'bigint', (column) => column.notNull())
    .addColumn('expiry_day', 'text', (column) => column.notNull())
    .addColumn('months', 'bigint', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    // Of two renewals at once one is first.
    .addUniqueConstraint('prepaid_terms_start', ['group_id', 'from_ms'])
    .execute();
  await table(db, 'prepaid_lots')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('group_id', 'text', (column) => column.notNull().references('instance_groups.id'))
    .addColumn('term_id', 'text', (column) => column.notNull().references('prepaid_terms.id'))
    .addColumn('order_id', 'text', (column) => column.notNull())
    .addColumn('from_ms', 'bigint', (column) => column.notNull())
    .addColumn('to_ms', 'bigint', (column) => column.notNull())
    .addColumn('units', 'bigint', (column) => column.notNull())
    .addColumn('paid_micros', 'bigint', (column) => column.notNull())
    .addColumn('monthly_price_micros', 'bigint', (column) => column.notNull())
    .addColumn('penalty', 'double precision', (column) => column.notNull())
    .addColumn('price_version', 'text', (column) => column.notNull())
    .addColumn('arithmetic', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .execute();
  await index(db, 'prepaid_lots', ['group_id', 'to_ms']);
  await index(db, 'prepaid_lots', ['tenant_id', 'to_ms']);
  await db.schema
    .createTable('lot_closings')
    .addColumn('lot_id', 'text', (column) => column.primaryKey().references('prepaid_lots.id'))
    .addColumn('order_id', 'text', (column) => column.notNull())
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('units', 'bigint', (column) => column.notNull())
    .addColumn('refund_micros', 'bigint', (column) => column.notNull())
    .addColumn('penalty_micros', 'bigint', (column) => column.notNull())
    .addColumn('earned_micros', 'bigint', (column) => column.notNull())
    .addColumn('carried_micros', 'bigint', (column) => column.notNull())
    .addColumn('arithmetic', 'text', (column) => column.notNull())
    .execute();
}

async function recognitionTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'recognitions')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('to_ms', 'bigint', (column) => column.notNull())
    .addColumn('amount_micros', 'bigint', (column) => column.notNull())
    .addColumn('transaction_id', 'text', (column) => column.references('ledger_transactions.id'))
    .addUniqueConstraint('recognitions_day', ['tenant_id', 'to_ms'])
    .execute();
  const lines = db.schema.createTable('recognition_lines');
  await (isPostgres(db)
    ? lines.addColumn('id', 'bigserial', (column) => column.primaryKey())
    : lines.addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
  )
    .addColumn('recognition_id', 'text', (column) => column.notNull().references('recognitions.id'))
    .addColumn('lot_id', 'text', (column) => column.notNull().references('prepaid_lots.id'))
    .addColumn('amount_micros', 'bigint', (column) => column.notNull())
    .addColumn('amount_total_micros', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('recognition_lines_lot', ['recognition_id', 'lot_id'])
    .execute();
  await db.schema
    .createTable('recognition_standings')
    .addColumn('tenant_id', 'text', (column) => column.primaryKey().references('tenants.id'))
    .addColumn('due_ms', 'bigint')
    .execute();
  await index(db, 'recognition_standings', ['due_ms', 'tenant_id']);
  // The last line of a lot is where its next one starts.
  await index(db, 'recognition_lines', ['lot_id', 'id']);
}

async function overdueTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'overdues')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('since_ms', 'bigint', (column) => column.notNull())
    .addColumn('ended_at_ms', 'bigint')
    .addColumn('outcome', 'text')
    .addColumn('next_due_ms', 'bigint')
    .execute();
  await db.schema
    .createIndex('overdues_open')
    .on('overdues')
    .column('tenant_id')
    .unique()
    .where(sql.ref('ended_at_ms'), 'is', null)
    .execute();
  await index(db, 'overdues', ['next_due_ms', 'id']);
  await table(db, 'notices')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('due_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('detail_json', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('notices_once', ['kind', 'subject', 'due_at_ms'])
    .execute();
  await index(db, 'notices', ['tenant_id', 'due_at_ms', 'id']);
  await index(db, 'notices', ['due_at_ms', 'id']);
}
