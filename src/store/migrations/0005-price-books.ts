import { type Kysely, sql } from 'kysely';

/** Versions of the price book, and what of them an order, a lot and a bill line were reckoned by. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('price_books')
    .addColumn('version', 'text', (column) => column.notNull().primaryKey())
    .addColumn('currency', 'text', (column) => column.notNull())
    .addColumn('valid_from_ms', 'bigint', (column) => column.notNull())
    .addColumn('source', 'text', (column) => column.notNull())
    .addColumn('document_json', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('withdrawn_at_ms', 'bigint')
    .addColumn('next_due_ms', 'bigint')
    .addColumn('done_to_group_id', 'text')
    .execute();
  // Of two versions for the same instant one is first.
  await db.schema
    .createIndex('price_books_valid')
    .on('price_books')
    .column('valid_from_ms')
    .unique()
    .where(sql.ref('withdrawn_at_ms'), 'is', null)
    .execute();
  await db.schema.createIndex('price_books_next_due_ms').on('price_books').column('next_due_ms').execute();
  await db.schema
    .alterTable('prepaid_lots')
    .addColumn('discount_percent', 'text', (column) => column.notNull().defaultTo('0'))
    .execute();
  await db.schema.alterTable('orders').addColumn('price_version', 'text').execute();
  await db.schema.alterTable('orders').addColumn('arithmetic', 'text').execute();
  await db.schema.alterTable('bill_lines').addColumn('price_versions', 'text').execute();
}
