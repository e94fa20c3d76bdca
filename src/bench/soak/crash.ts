import type { DatabaseConnection, Dialect, Driver } from 'kysely';

/** A process that dies at a chosen point of its work with the database. */
export class Crash {
  #left = Number.POSITIVE_INFINITY;
  #dead = false;

  get dead(): boolean {
    return this.#dead;
  }

  /** Dies at the n-th point from now: before a statement, before a commit, or right after one. */
  arm(points: number): void {
    this.#left = points;
  }

  /** A new process. */
  revive(): void {
    this.#left = Number.POSITIVE_INFINITY;
    this.#dead = false;
  }

  /** Throws when it dies here or is dead already. */
  point(): void {
    this.#left -= 1;
    if (this.#left <= 0) this.#dead = true;
    if (this.#dead) throw new Error('the process died');
  }
}

/**
 * The same dialect with a point of death at every statement and on both sides of every commit. What is rolled back when
 * it dies is what the database would roll back when the connection of a dead process ends.
 */
export function crashable(dialect: Dialect, crash: Crash): Dialect {
  return {
    createDriver: () => crashableDriver(dialect.createDriver(), crash),
    createAdapter: () => dialect.createAdapter(),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  };
}

function crashableDriver(driver: Driver, crash: Crash): Driver {
  const mortal = new WeakMap<DatabaseConnection, DatabaseConnection>();
  const inner = (connection: DatabaseConnection) => mortal.get(connection) ?? connection;
  return {
    init: (options) => driver.init(options),
    async acquireConnection(options) {
      const connection = await driver.acquireConnection(options);
      const own: DatabaseConnection = {
        async executeQuery(query, queryOptions) {
          crash.point();
          return connection.executeQuery(query, queryOptions);
        },
        streamQuery: (query, chunkSize, queryOptions) => connection.streamQuery(query, chunkSize, queryOptions),
      };
      mortal.set(own, connection);
      return own;
    },
    beginTransaction: (connection, settings) => driver.beginTransaction(inner(connection), settings),
    async commitTransaction(connection) {
      crash.point();
      await driver.commitTransaction(inner(connection));
      crash.point();
    },
    rollbackTransaction: (connection) => driver.rollbackTransaction(inner(connection)),
    releaseConnection: (connection, options) => driver.releaseConnection(inner(connection), options),
    destroy: (options) => driver.destroy(options),
  };
}
