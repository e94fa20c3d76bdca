import { type Kysely, sql } from 'kysely';
import { index, table } from './parts.ts';

/** Tenants' own models (adapters, fine-tuned weights), and what servers with a role take. `store/model-schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await table(db, 'own_models')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('base_model_id', 'text', (column) => column.notNull())
    .addColumn('format', 'text', (column) => column.notNull())
    .addColumn('source', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .addColumn('bytes', 'bigint', (column) => column.notNull())
    .addColumn('rank', 'bigint')
    .addColumn('alpha', 'double precision')
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('removed_at_ms', 'bigint')
    .execute();
  await db.schema
    .createIndex('own_models_name_live')
    .on('own_models')
    .columns(['tenant_id', 'name'])
    .unique()
    .where(sql.ref('removed_at_ms'), 'is', null)
    .execute();

  await db.schema
    .createTable('endpoint_adapters')
    .addColumn('endpoint_id', 'text', (column) => column.notNull().references('endpoints.id'))
    .addColumn('model_id', 'text', (column) => column.notNull().references('own_models.id'))
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('endpoint_adapters_pkey', ['endpoint_id', 'model_id'])
    .execute();
  await index(db, 'endpoint_adapters', ['model_id']);

  await db.schema.alterTable('receipts').addColumn('adapter_id', 'text').execute();
  await db.schema.alterTable('served_models').addColumn('own_model_id', 'text').execute();
  await db.schema
    .alterTable('servers')
    .addColumn('role', 'text', (column) => column.notNull().defaultTo('unified'))
    .execute();
  await db.schema.alterTable('servers').addColumn('bootstrap_port', 'bigint').execute();
  await db.schema.alterTable('servers').addColumn('kv_events', 'text').execute();
  await db.schema.alterTable('servers').addColumn('kv_replay', 'text').execute();
}
