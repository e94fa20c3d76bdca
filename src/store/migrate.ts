import { type Kysely, sql } from 'kysely';
import { CubitError } from '../core/errors.ts';
import { isPostgres } from './dialect.ts';
import * as initial from './migrations/0001-initial.ts';
import * as leases from './migrations/0002-leases.ts';
import * as prepaid from './migrations/0003-prepaid.ts';
import * as gate from './migrations/0004-gate.ts';
import * as priceBooks from './migrations/0005-price-books.ts';
import * as payPerToken from './migrations/0006-pay-per-token.ts';
import * as people from './migrations/0007-people.ts';
import * as notify from './migrations/0008-notify.ts';
import * as ledger from './migrations/0009-ledger.ts';
import * as elastic from './migrations/0010-elastic.ts';
import * as keyLimits from './migrations/0011-key-limits.ts';
import * as overflow from './migrations/0012-overflow.ts';
import * as ownModels from './migrations/0014-own-models.ts';
import * as loadProfiles from './migrations/0015-load-profiles.ts';
import type { Database } from './schema.ts';

interface Migration {
  up(db: Kysely<unknown>): Promise<void>;
}

/** In order. A migration that was released is never edited: the next one changes what it made. */
const MIGRATIONS: readonly (readonly [name: string, migration: Migration])[] = [
  ['0001-initial', initial],
  ['0002-leases', leases],
  ['0003-prepaid', prepaid],
  ['0004-gate', gate],
  ['0005-price-books', priceBooks],
  ['0006-pay-per-token', payPerToken],
  ['0007-people', people],
  ['0008-notify', notify],
  ['0009-ledger', ledger],
  ['0010-elastic', elastic],
  ['0011-key-limits', keyLimits],
  ['0012-overflow', overflow],
  ['0014-own-models', ownModels],
  ['0015-load-profiles', loadProfiles],
];

/** Any number, as long as nothing else in the database locks the same one. */
const LOCK = 2_026_041_309;

/**
 * Runs what has not run yet, all in one transaction: after a crash either everything or nothing is there, and of two
 * processes that start together the second finds the work done. (On PostgreSQL a lock makes it wait, and it must look
 * after that: hence not at the level of other transactions.) Throws `config_invalid` on a database from the future.
 */
export async function migrate(db: Kysely<Database>): Promise<void> {
  const transaction = (db as unknown as Kysely<{ migrations: { name: string } }>).transaction();
  await transaction.setIsolationLevel('read committed').execute(async (trx) => {
    if (isPostgres(db)) {
      await sql`select set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)`.execute(trx);
      await sql`select pg_advisory_xact_lock(${sql.lit(LOCK)})`.execute(trx);
    }
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
        'The database was written by a newer version of Cubit. Start that version, or choose another data folder or database.',
        { cause: new Error(`unknown migrations: ${[...done].join(', ')}`) },
      );
    }
  });
}
