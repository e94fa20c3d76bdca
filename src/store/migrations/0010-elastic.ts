import { type Kysely, sql } from 'kysely';
import { index, table } from './parts.ts';

/** Elastic rules of postpaid groups, the units that scaling added, and why. `store/schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('elastic_rules')
    .addColumn('group_id', 'text', (column) => column.primaryKey().references('instance_groups.id'))
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('served_model_id', 'text', (column) => column.notNull().references('served_models.id'))
    .addColumn('max_units', 'bigint', (column) => column.notNull())
    .addColumn('rule_json', 'text', (column) => column.notNull())
    .addColumn('changed_at_ms', 'bigint', (column) => column.notNull())
    .execute();
  await index(db, 'elastic_rules', ['served_model_id']);

  await table(db, 'elastic_units')
    .addColumn('group_id', 'text', (column) => column.notNull().references('instance_groups.id'))
    .addColumn('replica_id', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('launched_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('ready_at_ms', 'bigint')
    .addColumn('draining_at_ms', 'bigint')
    .addColumn('ended_at_ms', 'bigint')
    .addColumn('failure', 'text')
    .execute();
  await index(db, 'elastic_units', ['group_id', 'launched_at_ms']);
  await db.schema
    .createIndex('elastic_units_open')
    .on('elastic_units')
    .column('group_id')
    .where(sql.ref('ended_at_ms'), 'is', null)
    .execute();
  await db.schema
    .createIndex('elastic_units_replica')
    .on('elastic_units')
    .column('replica_id')
    .unique()
    .where(sql.ref('ended_at_ms'), 'is', null)
    .execute();

  await table(db, 'scaling_decisions')
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('group_id', 'text', (column) => column.notNull().references('instance_groups.id'))
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('units_before', 'bigint', (column) => column.notNull())
    .addColumn('units_after', 'bigint', (column) => column.notNull())
    .addColumn('cause', 'text', (column) => column.notNull())
    .addColumn('sentence', 'text', (column) => column.notNull())
    .addColumn('inputs_json', 'text', (column) => column.notNull())
    .execute();
  await index(db, 'scaling_decisions', ['group_id', 'at_ms']);
}
