import type { Kysely } from 'kysely';

/** What load usually is at each time of the week, by elastic group. `store/elastic-schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('load_profiles')
    .addColumn('group_id', 'text', (column) => column.primaryKey().references('instance_groups.id'))
    .addColumn('profile_json', 'text', (column) => column.notNull())
    .addColumn('learned_at_ms', 'bigint', (column) => column.notNull())
    .execute();
}
