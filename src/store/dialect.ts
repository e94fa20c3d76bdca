import { type Kysely, PostgresAdapter } from 'kysely';

/** For the few statements that SQLite and PostgreSQL spell differently. */
export function isPostgres<DB>(db: Kysely<DB>): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}
