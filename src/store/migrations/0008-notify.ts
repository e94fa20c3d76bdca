import { type ColumnDefinitionBuilder, type Kysely, sql } from 'kysely';
import { index, table } from './parts.ts';

/** How notices reach people, who used what (for chargeback), and budgets. `store/schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await noticeTables(db);
  await channelTables(db);
  await usageTables(db);
  await budgetTables(db);
}

async function noticeTables(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('notices').addColumn('read_at_ms', 'bigint').execute();
  await db.schema
    .createIndex('notices_unread')
    .on('notices')
    .columns(['tenant_id', 'due_at_ms', 'id'])
    .where(sql.ref('read_at_ms'), 'is', null)
    .execute();
  await db.schema
    .createTable('notice_preferences')
    .addColumn('tenant_id', 'text', (column) => column.primaryKey().references('tenants.id'))
    .addColumn('language', 'text', required)
    .addColumn('bills', 'text', required)
    .execute();
  await db.schema
    .createTable('bill_digests')
    .addColumn('tenant_id', 'text', (column) => column.primaryKey().references('tenants.id'))
    .addColumn('from_ms', 'bigint', required)
    .addColumn('due_ms', 'bigint', required)
    .execute();
  await index(db, 'bill_digests', ['due_ms', 'tenant_id']);
}

async function channelTables(db: Kysely<unknown>): Promise<void> {
  await tenantTable(db, 'channels')
    .addColumn('kind', 'text', required)
    .addColumn('name', 'text', required)
    .addColumn('state', 'text', required)
    .addColumn('url', 'text')
    .addColumn('secret', 'text')
    .addColumn('previous_secret', 'text')
    .addColumn('previous_until_ms', 'bigint')
    .addColumn('recipients_json', 'text')
    .addColumn('kinds_json', 'text')
    .addColumn('created_at_ms', 'bigint', required)
    .execute();
  await index(db, 'channels', ['tenant_id', 'created_at_ms', 'id']);
  await index(db, 'channels', ['created_at_ms', 'id']);
  await tenantTable(db, 'deliveries')
    .addColumn('notice_id', 'text', (column) => column.notNull().references('notices.id'))
    .addColumn('channel_id', 'text', (column) => column.notNull().references('channels.id'))
    .addColumn('state', 'text', required)
    .addColumn('attempts', 'bigint', required)
    .addColumn('next_due_ms', 'bigint')
    .addColumn('failure', 'text')
    .addColumn('created_at_ms', 'bigint', required)
    .addColumn('ended_at_ms', 'bigint')
    .addUniqueConstraint('deliveries_once', ['notice_id', 'channel_id'])
    .execute();
  await index(db, 'deliveries', ['next_due_ms']);
  await index(db, 'deliveries', ['channel_id', 'next_due_ms']);
  await index(db, 'deliveries', ['channel_id', 'created_at_ms', 'id']);
  await index(db, 'deliveries', ['tenant_id', 'created_at_ms', 'id']);
  await index(db, 'deliveries', ['created_at_ms', 'id']);
}

/** Receipts that are there already are summed up as later ones are (store/usage-quarters.ts). */
async function usageTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('api_keys')
    .addColumn('labels_json', 'text', (column) => column.notNull().defaultTo('{}'))
    .execute();
  await db.schema
    .createTable('usage_quarters')
    .addColumn('served_model_id', 'text', required)
    .addColumn('from_ms', 'bigint', required)
    .addColumn('key_id', 'text', required)
    .addColumn('tenant_id', 'text', required)
    .addColumn('requests', 'bigint', required)
    .addColumn('prefill_us', 'bigint', required)
    .addColumn('decode_us', 'bigint', required)
    .addPrimaryKeyConstraint('usage_quarters_pk', ['served_model_id', 'from_ms', 'key_id'])
    .execute();
  await sql`
    insert into usage_quarters (served_model_id, from_ms, key_id, tenant_id, requests, prefill_us, decode_us)
    select served_model_id, ended_at_ms - ended_at_ms % 900000, key_id, min(tenant_id), count(*),
      cast(sum(actual_prefill_us) as bigint), cast(sum(actual_decode_us) as bigint)
    from receipts
    where served_model_id is not null and actual_prefill_us + actual_decode_us > 0
    group by served_model_id, ended_at_ms - ended_at_ms % 900000, key_id`.execute(db);
}

async function budgetTables(db: Kysely<unknown>): Promise<void> {
  await tenantTable(db, 'budgets')
    .addColumn('label', 'text', required)
    .addColumn('amount_micros', 'bigint', required)
    .addColumn('hard_stop', 'bigint', required)
    .addColumn('created_at_ms', 'bigint', required)
    .addColumn('month', 'text', required)
    .addColumn('spent_micros', 'bigint', required)
    .addColumn('spent_to_ms', 'bigint', required)
    .addColumn('settled_micros', 'bigint', required)
    .addColumn('settled_to_ms', 'bigint', required)
    .addColumn('told_percent', 'bigint', required)
    .addColumn('next_due_ms', 'bigint', required)
    .addUniqueConstraint('budgets_label', ['tenant_id', 'label'])
    .execute();
  await index(db, 'budgets', ['next_due_ms', 'id']);
}

const required = (column: ColumnDefinitionBuilder) => column.notNull();

function tenantTable(db: Kysely<unknown>, name: string) {
  return table(db, name).addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'));
}
