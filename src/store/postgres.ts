import { type DatabaseConnection, Kysely, PostgresDialect, type TransactionBuilder } from 'kysely';
import pg from 'pg';
import { CubitError } from '../core/errors.ts';
import { retried } from './retry.ts';
import { plainRow } from './row.ts';
import type { Database } from './schema.ts';
import { storageError } from './storage-error.ts';

const CONNECTIONS_MAX = 10;
/** For a free connection of the pool, and for a row that another transaction holds. */
const WAIT_MS_MAX = 30_000;
/** A process that stands still inside a transaction must not hold its rows for ever. */
const IDLE_MS_MAX = 60_000;
const STATEMENT_MS_MAX = 300_000;
const INT8 = 20;
const NUMERIC = 1700;

/**
 * Kysely over PostgreSQL. `db.transaction()` is serializable and retried (`retried`), so that verbs which were written
 * for one connection keep their promises on many: its work may run several times and must do nothing but use `trx`.
 * Single statements outside of transactions run at PostgreSQL's default level.
 */
export class PostgresKysely extends Kysely<Database> {
  constructor(url: string) {
    const pool = new pg.Pool({
      connectionString: url,
      application_name: 'cubit',
      max: CONNECTIONS_MAX,
      connectionTimeoutMillis: WAIT_MS_MAX,
      lock_timeout: WAIT_MS_MAX,
      idle_in_transaction_session_timeout: IDLE_MS_MAX,
      statement_timeout: STATEMENT_MS_MAX,
      keepAlive: true,
      types: { getTypeParser: parserOf },
    });
    // A connection that breaks is the failure of the statement that needs it; between statements it is nobody's, and
    // without these listeners it would end the process.
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    super({
      dialect: new PostgresDialect({ pool, onCreateConnection: async (connection) => speakPlainly(connection) }),
    });
  }

  override transaction(): TransactionBuilder<Database> {
    const builder = super.transaction().setIsolationLevel('serializable');
    const once = builder.execute.bind(builder);
    builder.execute = (work) => retried(() => once(work));
    return builder;
  }
}

/** Integers of 64 bits, and sums of them, without going through a double. */
function parserOf(oid: number, format?: 'text' | 'binary') {
  if (format !== 'binary' && oid === INT8) return BigInt;
  if (format !== 'binary' && oid === NUMERIC)
    return (text: string) => (/^-?\d+$/.test(text) ? BigInt(text) : Number(text));
  return pg.types.getTypeParser(oid, format as 'text');
}

/** Rows and errors as from every other store. */
function speakPlainly(connection: DatabaseConnection): void {
  const execute = connection.executeQuery.bind(connection);
  connection.executeQuery = async (query, options) => {
    try {
      const result = await execute(query, options);
      return { ...result, rows: result.rows.map((row) => plainRow(row as object)) };
    } catch (error) {
      throw storageError(error);
    }
  };
}

/** What is wrong with the database that a start names, for people and without its password. */
export function openError(error: unknown, url: string): unknown {
  if (error instanceof CubitError) return error;
  const reasons = error instanceof AggregateError ? error.errors : [error];
  const reason = reasons.map((one) => (one as Error).message).join('; ');
  return new CubitError(
    'config_invalid',
    `The PostgreSQL database ${withoutPassword(url)} cannot be used (${reason}). Check databaseUrl, and that the server runs and lets this user create tables.`,
    { cause: error },
  );
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return 'of databaseUrl';
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}${port === '' ? '' : `:${port}`}${pathname}`;
}
