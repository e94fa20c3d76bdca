import { type Kysely, sql } from 'kysely';
import { index, table } from './parts.ts';

/** Where requests spill to and what that may cost; rollouts of served models. `store/overflow-schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const column of ['spill_from', 'spill_target', 'spill_reason']) {
    await db.schema.alterTable('receipts').addColumn(column, 'text').execute();
  }
  await db.schema.alterTable('receipts').addColumn('spill_cost_micros', 'bigint').execute();
  await db.schema
    .createIndex('receipts_spill_from_received_at_ms')
    .on('receipts')
    .columns(['spill_from', 'received_at_ms'])
    .where(sql.ref('spill_from'), 'is not', null)
    .execute();

  await db.schema
    .createTable('overflows')
    .addColumn('endpoint_id', 'text', (column) => column.primaryKey().references('endpoints.id'))
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('config_json', 'text', (column) => column.notNull())
    .addColumn('changed_at_ms', 'bigint', (column) => column.notNull())
    .execute();

  await table(db, 'upstreams')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('base_url', 'text', (column) => column.notNull())
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('api_key', 'text')
    .addColumn('input_micros', 'bigint', (column) => column.notNull())
    .addColumn('cached_micros', 'bigint', (column) => column.notNull())
    .addColumn('output_micros', 'bigint', (column) => column.notNull())
    .addColumn('context_tokens', 'bigint', (column) => column.notNull())
    .addColumn('output_tokens_max', 'bigint', (column) => column.notNull())
    .addColumn('concurrency_max', 'bigint', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('removed_at_ms', 'bigint')
    .execute();
  await index(db, 'upstreams', ['tenant_id']);

  await db.schema
    .createTable('spill_budgets')
    .addColumn('endpoint_id', 'text', (column) => column.notNull().references('endpoints.id'))
    .addColumn('period_start_ms', 'bigint', (column) => column.notNull())
    .addColumn('leased_micros', 'bigint', (column) => column.notNull())
    .addColumn('refused_at_ms', 'bigint')
    .addPrimaryKeyConstraint('spill_budgets_pkey', ['endpoint_id', 'period_start_ms'])
    .execute();

  await table(db, 'rollouts')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('endpoint_id', 'text', (column) => column.notNull().references('endpoints.id'))
    .addColumn('from_id', 'text', (column) => column.notNull().references('served_models.id'))
    .addColumn('to_id', 'text', (column) => column.notNull().references('served_models.id'))
    .addColumn('steps_json', 'text', (column) => column.notNull())
    .addColumn('step', 'bigint', (column) => column.notNull())
    .addColumn('pause_ms', 'bigint', (column) => column.notNull())
    .addColumn('guard_json', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('started_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('step_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('ended_at_ms', 'bigint')
    .addColumn('next_due_ms', 'bigint')
    .execute();
  await index(db, 'rollouts', ['next_due_ms', 'id']);
  await db.schema
    .createIndex('rollouts_running')
    .on('rollouts')
    .column('endpoint_id')
    .unique()
    .where(sql.ref('ended_at_ms'), 'is', null)
    .execute();
}
