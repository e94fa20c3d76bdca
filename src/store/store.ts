import { Kysely } from 'kysely';
import { migrate } from './migrate.ts';
import type { Database } from './schema.ts';
import { NodeSqliteDialect, openSqlite } from './sqlite-dialect.ts';

export interface Store {
  readonly db: Kysely<Database>;
  /** Waits for nothing: call it when no more queries are under way. */
  close(): Promise<void>;
}

/**
 * Opens the database and brings its tables up to date. `path` is a file, or `:memory:` for one that is gone with the
 * process. Inside `db.transaction().execute((trx) => …)` use only `trx`: there is one connection.
 * Throws `disk_full`, `config_invalid`.
 */
export async function openStore(options: { path: string }): Promise<Store> {
  const db = new Kysely<Database>({ dialect: new NodeSqliteDialect(() => openSqlite(options.path)) });
  try {
    await migrate(db);
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return { db, close: () => db.destroy() };
}
