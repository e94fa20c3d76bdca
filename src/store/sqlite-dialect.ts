import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import {
  CompiledQuery,
  type DatabaseConnection,
  type DialectAdapter,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteDialect,
} from 'kysely';
import { Gate } from './gate.ts';
import { plainRow } from './row.ts';
import { storageError } from './storage-error.ts';

/** Statements and transactions that may wait for the one connection, and how long. */
const QUEUE_MAX = 10_000;
const WAIT_MS_MAX = 30_000;
/** Prepared statements that are kept, the oldest goes first; a long text is a list of values that comes once. */
const STATEMENTS_MAX = 300;
const STATEMENT_CHARS_MAX = 4_000;
/** Of database pages: the inner pages of years of bills. */
const CACHE_KIB = 32 * 1024;

/**
 * Kysely over Node's own SQLite: one connection, its users in a queue. Kysely's compiler and introspector are used as
 * they are; only the driver differs. Integers: columns named `…_micros` come out as bigint, all others as numbers.
 */
export class NodeSqliteDialect extends SqliteDialect {
  readonly #open: () => DatabaseSync;

  constructor(open: () => DatabaseSync) {
    super({ database: () => Promise.reject(new Error('unused: the driver below opens the database')) });
    this.#open = open;
  }

  override createDriver(): Driver {
    return new NodeSqliteDriver(this.#open);
  }

  override createAdapter(): DialectAdapter {
    return new QueueingAdapter();
  }
}

/** The driver has its own queue, a bounded one, so Kysely need not keep another. */
class QueueingAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

class NodeSqliteDriver implements Driver {
  readonly #open: () => DatabaseSync;
  readonly #gate = new Gate({ queueMax: QUEUE_MAX, waitMsMax: WAIT_MS_MAX });
  #connection: NodeSqliteConnection | null = null;

  constructor(open: () => DatabaseSync) {
    this.#open = open;
  }

  async init(): Promise<void> {
    this.#connection = new NodeSqliteConnection(this.#open());
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    await this.#gate.enter();
    return this.#connection!;
  }

  /** Immediate: a transaction that will write queues at its start, instead of failing half-way. */
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'));
  }

  /** SQLite rolls back by itself on some errors, a full disk among them: then there is nothing left to do. */
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#connection!.database.isTransaction) await connection.executeQuery(CompiledQuery.raw('rollback'));
  }

  async releaseConnection(): Promise<void> {
    this.#gate.leave();
  }

  async destroy(): Promise<void> {
    this.#connection?.database.close();
  }
}

interface Prepared {
  readonly statement: StatementSync;
  readonly returnsRows: boolean;
}

class NodeSqliteConnection implements DatabaseConnection {
  readonly database: DatabaseSync;
  readonly #prepared = new Map<string, Prepared>();

  constructor(database: DatabaseSync) {
    this.database = database;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    try {
      const { statement, returnsRows } = this.#prepare(query.sql);
      const parameters = query.parameters.map(toSqlite);
      if (returnsRows) return { rows: statement.all(...parameters).map((row) => plainRow<R>(row)) };
      const { changes, lastInsertRowid } = statement.run(...parameters);
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
    } catch (error) {
      throw storageError(error);
    }
  }

  #prepare(sql: string): Prepared {
    const kept = this.#prepared.get(sql);
    if (kept !== undefined) return kept;
    const statement = this.database.prepare(sql);
    const prepared = { statement, returnsRows: statement.columns().length > 0 };
    if (sql.length > STATEMENT_CHARS_MAX) return prepared;
    const [oldest] = this.#prepared.keys();
    if (oldest !== undefined && this.#prepared.size >= STATEMENTS_MAX) this.#prepared.delete(oldest);
    this.#prepared.set(sql, prepared);
    return prepared;
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    try {
      const statement = this.database.prepare(query.sql);
      for (const row of statement.iterate(...query.parameters.map(toSqlite))) yield { rows: [plainRow<R>(row)] };
    } catch (error) {
      throw storageError(error);
    }
  }
}

/** Whole numbers are bound as integers (Node would bind every number as a double), so that they compare and add exactly. */
function toSqlite(value: unknown): SQLInputValue {
  return Number.isSafeInteger(value) ? BigInt(value as number) : (value as SQLInputValue);
}

/**
 * Opens the file (or `:memory:`) with the settings that money needs: every commit is on the disk before it is answered.
 * Only its owner may read it, for adopted servers' keys are in it; SQLite's own files beside it inherit that.
 */
export function openSqlite(path: string): DatabaseSync {
  try {
    if (path !== ':memory:') closeSync(openSync(path, 'a', 0o600));
    const database = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5_000, readBigInts: true });
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = FULL');
    database.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
    return database;
  } catch (error) {
    throw storageError(error);
  }
}
