import type { Kysely } from 'kysely';

/** What an API key may use, and its weight among those that wait. `store/schema.ts` has the words. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('api_keys')
    .addColumn('weight', 'double precision', (column) => column.notNull().defaultTo(1))
    .execute();
  for (const name of ['requests_per_minute', 'tokens_per_minute', 'work_us_per_minute', 'concurrency']) {
    await db.schema.alterTable('api_keys').addColumn(name, 'bigint').execute();
  }
}
