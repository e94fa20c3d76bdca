import type { Kysely } from 'kysely';
import { CubitError } from '../core/errors.ts';
import * as initial from './migrations/0001-initial.ts';
import * as leases from './migrations/0002-leases.ts';
import type { Database } from './schema.ts';

interface Migration {
  up(db: Kysely<unknown>): Promise<void>;
}

/** In order. A migration that was released is never edited: the next one changes what it made. */
const MIGRATIONS: readonly (readonly [name: string, migration: Migration])[] = [
  ['0001-initial', initial],
  ['0002-leases', leases],
];

/**
 * Runs what has not run yet, all in one transaction: after a crash either everything or nothing is there, and of two
 * processes that start together the second finds the work done. Throws `config_invalid` on a database from the future.
 */
export async function migrate(db: Kysely<Database>): Promise<void> {
  await (db as unknown as Kysely<{ migrations: { name: string } }>).transaction().execute(async (trx) => {
    await trx.schema
      .createTable('migrations')
      .ifNotExists()
      .addColumn('name', 'text', (column) => column.primaryKey())
      .execute();
    const done = new Set((await trx.selectFrom('migrations').select('name').execute()).map((row) => row.name));
    for (const [name, migration] of MIGRATIONS) {
      if (done.delete(name)) continue;
      await migration.up(trx as unknown as Kysely<unknown>);
      await trx.insertInto('migrations').values({ name }).execute();
    }
    if (done.size > 0) {
      throw new CubitError(
        'config_invalid',
        'The data folder was written by a newer version of Cubit. Start that version, or choose another data folder.',
        { cause: new Error(`unknown migrations: ${[...done].join(', ')}`) },
      );
    }
  });
}
