import { type Kysely, sql } from 'kysely';
import { isPostgres } from '../dialect.ts';
import { index } from './parts.ts';

/** Shared pools, limits of tenants on them, and bills by the token. `store/token-schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('endpoints').addColumn('suspended_at_ms', 'bigint').execute();
  await poolTable(db);
  await limitTables(db);
  await usageTable(db);
  await lineTable(db);
}

async function poolTable(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('pools')
    .addColumn('id', 'text', (column) => column.notNull().primaryKey())
    .addColumn('model_id', 'text', (column) => column.notNull())
    .addColumn('template_id', 'text', (column) => column.notNull())
    .addColumn('coefficient', 'double precision', (column) => column.notNull())
    .addColumn('units', 'bigint', (column) => column.notNull())
    .addColumn('requests_per_minute', 'bigint', (column) => column.notNull())
    .addColumn('tokens_per_minute', 'bigint', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('removed_at_ms', 'bigint')
    .execute();
  await db.schema
    .createIndex('pools_model_live')
    .on('pools')
    .column('model_id')
    .unique()
    .where(sql.ref('removed_at_ms'), 'is', null)
    .execute();
}

async function limitTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('token_limits')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('model_id', 'text', (column) => column.notNull())
    .addColumn('requests_per_minute', 'bigint', (column) => column.notNull())
    .addColumn('tokens_per_minute', 'bigint', (column) => column.notNull())
    .addColumn('set_at_ms', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('token_limits_key', ['tenant_id', 'model_id'])
    .execute();
  await db.schema
    .createTable('limit_requests')
    .addColumn('id', 'text', (column) => column.notNull().primaryKey())
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('model_id', 'text', (column) => column.notNull())
    .addColumn('requests_per_minute', 'bigint', (column) => column.notNull())
    .addColumn('tokens_per_minute', 'bigint', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('note', 'text')
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('decided_at_ms', 'bigint')
    .execute();
  await db.schema
    .createIndex('limit_requests_open')
    .on('limit_requests')
    .columns(['tenant_id', 'model_id'])
    .unique()
    .where(sql.ref('state'), '=', sql.lit('open'))
    .execute();
  await index(db, 'limit_requests', ['tenant_id', 'created_at_ms', 'id']);
  await index(db, 'limit_requests', ['created_at_ms', 'id']);
}

/** Points nowhere, as receipts do. In the order in which bills ask. */
async function usageTable(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('token_usage')
    .addColumn('tenant_id', 'text', (column) => column.notNull())
    .addColumn('quarter_ms', 'bigint', (column) => column.notNull())
    .addColumn('endpoint_id', 'text', (column) => column.notNull())
    .addColumn('pool_id', 'text', (column) => column.notNull())
    .addColumn('requests', 'bigint', (column) => column.notNull())
    .addColumn('input_tokens', 'bigint', (column) => column.notNull())
    .addColumn('cached_tokens', 'bigint', (column) => column.notNull())
    .addColumn('output_tokens', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('token_usage_key', ['tenant_id', 'quarter_ms', 'endpoint_id', 'pool_id'])
    .execute();
}

async function lineTable(db: Kysely<unknown>): Promise<void> {
  const lines = db.schema.createTable('token_lines');
  await (isPostgres(db)
    ? lines.addColumn('id', 'bigserial', (column) => column.primaryKey())
    : lines.addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
  )
    .addColumn('bill_id', 'text', (column) => column.notNull().references('bills.id'))
    .addColumn('endpoint_id', 'text', (column) => column.notNull().references('endpoints.id'))
    .addColumn('model_id', 'text', (column) => column.notNull())
    .addColumn('requests', 'bigint', (column) => column.notNull())
    .addColumn('late_requests', 'bigint', (column) => column.notNull())
    .addColumn('input_tokens', 'bigint', (column) => column.notNull())
    .addColumn('cached_tokens', 'bigint', (column) => column.notNull())
    .addColumn('output_tokens', 'bigint', (column) => column.notNull())
    .addColumn('amount_micros', 'bigint', (column) => column.notNull())
    .addColumn('amount_total_micros', 'bigint', (column) => column.notNull())
    .addColumn('carry_picos', 'bigint', (column) => column.notNull())
    .addColumn('arithmetic', 'text', (column) => column.notNull())
    .addUniqueConstraint('token_lines_endpoint', ['bill_id', 'endpoint_id'])
    .execute();
  // The last line of an endpoint is where its next one starts.
  await index(db, 'token_lines', ['endpoint_id', 'id']);
}
