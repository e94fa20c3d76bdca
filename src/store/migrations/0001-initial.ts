import { type CreateTableBuilder, type Kysely, PostgresAdapter, sql } from 'kysely';
import { index, table } from './parts.ts';

/**
 * The first tables; `store/schema.ts` says what the columns mean. Only what SQLite and PostgreSQL both have. Money,
 * bills and receipts have no column that is ever updated.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await tenantTables(db);
  await ledgerTables(db);
  await endpointTables(db);
  await groupTables(db);
  await billTables(db);
  await usageTables(db);
  await houseTables(db);
}

async function tenantTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'tenants')
    .addColumn('name', 'text', required)
    .addColumn('zone', 'text', required)
    .addColumn('currency', 'text', required)
    .addColumn('created_at_ms', 'bigint', required)
    .execute();
  await table(db, 'api_keys')
    .addColumn('tenant_id', 'text', of('tenants.id'))
    .addColumn('name', 'text', required)
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('hint', 'text', required)
    .addColumn('scope', 'text', required)
    .addColumn('created_at_ms', 'bigint', required)
    .addColumn('revoked_at_ms', 'bigint')
    .execute();
  await index(db, 'api_keys', ['tenant_id', 'created_at_ms', 'id']);
}

async function ledgerTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'ledger_transactions')
    .addColumn('tenant_id', 'text', of('tenants.id'))
    .addColumn('kind', 'text', required)
    .addColumn('idempotency_key', 'text', (column) => column.notNull().unique())
    .addColumn('memo', 'text', required)
    .addColumn('booked_at_ms', 'bigint', required)
    .addColumn('created_at_ms', 'bigint', required)
    .execute();
  await index(db, 'ledger_transactions', ['tenant_id', 'created_at_ms', 'id']);
  await numberedTable(db, 'ledger_entries')
    .addColumn('transaction_id', 'text', of('ledger_transactions.id'))
    .addColumn('tenant_id', 'text', of('tenants.id'))
    .addColumn('account', 'text', required)
    .addColumn('amount_micros', 'bigint', required)
    .execute();
  await index(db, 'ledger_entries', ['transaction_id']);
  // A balance is read from this index alone.
  await index(db, 'ledger_entries', ['tenant_id', 'account', 'id', 'amount_micros']);
}

async function endpointTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'endpoints')
    .addColumn('tenant_id', 'text', of('tenants.id'))
    .addColumn('name', 'text', required)
    .addColumn('access_mode', 'text', required)
    .addColumn('overflow_policy', 'text', required)
    .addColumn('max_wait_ms', 'bigint', required)
    .addColumn('created_at_ms', 'bigint', required)
    .addColumn('deleted_at_ms', 'bigint')
    .execute();
  await db.schema
    .createIndex('endpoints_name_live')
    .on('endpoints')
    .columns(['tenant_id', 'name'])
    .unique()
    .where(sql.ref('deleted_at_ms'), 'is', null)
    .execute();
  await table(db, 'served_models')
    .addColumn('endpoint_id', 'text', of('endpoints.id'))
    .addColumn('tenant_id', 'text', of('tenants.id'))
    .addColumn('model_id', 'text', required)
    .addColumn('template_id', 'text', required)
    .addColumn('coefficient', 'double precision', required)
    .addColumn('traffic_percent', 'double precision', required)
    .addColumn('created_at_ms', 'bigint', required)
    .execute();
  await index(db, 'served_models', ['endpoint_id']);
}

async function groupTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'instance_groups')
    .addColumn('tenant_id', 'text', of('tenants.id'))
    .addColumn('endpoint_id', 'text', of('endpoints.id'))
    .addColumn('served_model_id', 'text', of('served_models.id'))
    .addColumn('template_id', 'text', required)
    .addColumn('billing_type', 'text', required)
    .addColumn('units', 'bigint', required)
    .addColumn('state', 'text', required)
    .addColumn('created_at_ms', 'bigint', required)
    .addColumn('billed_from_ms', 'bigint')
    .addColumn('ended_at_ms', 'bigint')
    .execute();
  await index(db, 'instance_groups', ['tenant_id', 'billing_type', 'ended_at_ms', 'billed_from_ms']);
  await index(db, 'instance_groups', ['tenant_id', 'created_at_ms', 'id']);
  await index(db, 'instance_groups', ['created_at_ms', 'id']);
  await index(db, 'instance_groups', ['endpoint_id', 'created_at_ms', 'id']);
  await index(db, 'instance_groups', ['state']);
  await table(db, 'group_segments')
    .addColumn('group_id', 'text', of('instance_groups.id'))
    .addColumn('from_ms', 'bigint', required)
    .addColumn('units', 'bigint', required)
    .addColumn('hourly_price_micros', 'bigint', required)
    .addColumn('price_version', 'text', required)
    .addUniqueConstraint('group_segments_order', ['group_id', 'from_ms'])
    .execute();
  // An order may name a group that it makes: no foreign key, the verbs keep it whole.
  await table(db, 'orders')
    .addColumn('tenant_id', 'text', of('tenants.id'))
    .addColumn('kind', 'text', required)
    .addColumn('billing_type', 'text', required)
    .addColumn('endpoint_id', 'text', required)
    .addColumn('served_model_id', 'text', required)
    .addColumn('group_id', 'text', required)
    .addColumn('units', 'bigint', required)
    .addColumn('state', 'text', required)
    .addColumn('failure', 'text')
    .addColumn('created_at_ms', 'bigint', required)
    .addColumn('updated_at_ms', 'bigint', required)
    .addColumn('succeeded_at_ms', 'bigint')
    .execute();
  await index(db, 'orders', ['tenant_id', 'created_at_ms', 'id']);
  await index(db, 'orders', ['created_at_ms', 'id']);
  await index(db, 'orders', ['endpoint_id', 'created_at_ms', 'id']);
  await index(db, 'orders', ['group_id', 'created_at_ms', 'id']);
}

async function billTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'bills')
    .addColumn('tenant_id', 'text', of('tenants.id'))
    .addColumn('hour_from_ms', 'bigint', required)
    .addColumn('hour_to_ms', 'bigint', required)
    .addColumn('currency', 'text', required)
    .addColumn('amount_micros', 'bigint', required)
    .addColumn('issued_at_ms', 'bigint', required)
    .addColumn('transaction_id', 'text', of('ledger_transactions.id'))
    .addUniqueConstraint('bills_hour', ['tenant_id', 'hour_from_ms'])
    .execute();
  await index(db, 'bills', ['hour_from_ms', 'id']);
  await numberedTable(db, 'bill_lines')
    .addColumn('bill_id', 'text', of('bills.id'))
    .addColumn('group_id', 'text', of('instance_groups.id'))
    .addColumn('unit_seconds', 'bigint', required)
    .addColumn('unit_seconds_total', 'bigint', required)
    .addColumn('amount_total_micros', 'bigint', required)
    .addColumn('amount_micros', 'bigint', required)
    .addColumn('arithmetic', 'text', required)
    .addUniqueConstraint('bill_lines_group', ['bill_id', 'group_id'])
    .execute();
  // The last line of a group is where its next one starts.
  await index(db, 'bill_lines', ['group_id', 'id']);
}

/** Receipts point nowhere: they must be written whatever became of the key, endpoint or replica they name. */
async function usageTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'receipts')
    .addColumn('tenant_id', 'text', required)
    .addColumn('key_id', 'text', required)
    .addColumn('endpoint_id', 'text')
    .addColumn('served_model_id', 'text')
    .addColumn('replica_id', 'text')
    .addColumn('kind', 'text', required)
    .addColumn('outcome', 'text', required)
    .addColumn('cause', 'text', required)
    .addColumn('prompt_tokens', 'bigint', required)
    .addColumn('cached_tokens', 'bigint', required)
    .addColumn('output_tokens', 'bigint', required)
    .addColumn('estimated_prefill_us', 'bigint', required)
    .addColumn('estimated_decode_us', 'bigint', required)
    .addColumn('actual_prefill_us', 'bigint', required)
    .addColumn('actual_decode_us', 'bigint', required)
    .addColumn('received_at_ms', 'bigint', required)
    .addColumn('ended_at_ms', 'bigint', required)
    .addColumn('wait_ms', 'double precision', required)
    .addColumn('ttft_ms', 'double precision')
    .addColumn('tpot_ms', 'double precision')
    .execute();
  await index(db, 'receipts', ['tenant_id', 'received_at_ms', 'id']);
  await index(db, 'receipts', ['tenant_id', 'outcome', 'received_at_ms', 'id']);
  await index(db, 'receipts', ['endpoint_id', 'received_at_ms', 'id']);
  await index(db, 'receipts', ['received_at_ms', 'id']);
}

async function houseTables(db: Kysely<unknown>): Promise<void> {
  await table(db, 'servers')
    .addColumn('template_id', 'text', required)
    .addColumn('url', 'text', required)
    .addColumn('model', 'text', required)
    .addColumn('dialect', 'text', required)
    .addColumn('api_key', 'text')
    .addColumn('created_at_ms', 'bigint', required)
    .addColumn('removed_at_ms', 'bigint')
    .execute();
  await db.schema
    .createTable('idempotency')
    .addColumn('tenant_id', 'text', required)
    .addColumn('key', 'text', required)
    .addColumn('verb', 'text', required)
    .addColumn('request_hash', 'text', required)
    .addColumn('response_json', 'text', required)
    .addColumn('created_at_ms', 'bigint', required)
    .addPrimaryKeyConstraint('idempotency_key', ['tenant_id', 'key'])
    .execute();
  await index(db, 'idempotency', ['tenant_id', 'created_at_ms']);
  await table(db, 'audit')
    .addColumn('tenant_id', 'text')
    .addColumn('actor', 'text', required)
    .addColumn('verb', 'text', required)
    .addColumn('subject', 'text', required)
    .addColumn('detail_json', 'text', required)
    .addColumn('at_ms', 'bigint', required)
    .execute();
  await index(db, 'audit', ['tenant_id', 'at_ms', 'id']);
  await index(db, 'audit', ['at_ms', 'id']);
  await index(db, 'audit', ['subject', 'at_ms', 'id']);
  await db.schema
    .createTable('facts')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', required)
    .execute();
}

type Column = Parameters<Parameters<CreateTableBuilder<string>['addColumn']>[2] & object>[0];

const required = (column: Column) => column.notNull();

const of = (parent: `${string}.id`) => (column: Column) => column.notNull().references(parent);

/** A table with a text id of `core/ids.ts`. */

/** A table whose rows the database numbers in the order they are written. */
function numberedTable(db: Kysely<unknown>, name: string) {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter;
  return postgres
    ? db.schema.createTable(name).addColumn('id', 'bigserial', (column) => column.primaryKey())
    : db.schema.createTable(name).addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement());
}
