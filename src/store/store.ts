import { Kysely } from 'kysely';
import { migrate } from './migrate.ts';
import { openError, PostgresKysely } from './postgres.ts';
import type { Database } from './schema.ts';
import { NodeSqliteDialect, openSqlite } from './sqlite-dialect.ts';

export interface Store {
  readonly db: Kysely<Database>;
  /** Waits for nothing: call it when no more queries are under way. */
  close(): Promise<void>;
}

/** A SQLite file (or `:memory:`, gone with the process), or a database of a PostgreSQL server. */
export type StoreOptions = { readonly path: string } | { readonly postgresUrl: string };

/**
 * Opens the database and brings its tables up to date. Inside `db.transaction().execute((trx) => …)` use only `trx`: a
 * SQLite store has one connection, and on PostgreSQL anything else is not part of the transaction. The work of a
 * transaction may run again. Throws `disk_full`, `config_invalid`.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const db = 'path' in options ? sqlite(options.path) : new PostgresKysely(options.postgresUrl);
  try {
    await migrate(db);
  } catch (error) {
    await db.destroy();
    throw 'path' in options ? error : openError(error, options.postgresUrl);
  }
  return { db, close: () => db.destroy() };
}

function sqlite(path: string): Kysely<Database> {
  return new Kysely<Database>({ dialect: new NodeSqliteDialect(() => openSqlite(path)) });
}
