import type { Kysely } from 'kysely';

/** What migrations have in common. Those that ran stay as they are: never change what these make. */

/** A table with a text id. */
export function table(db: Kysely<unknown>, name: string) {
  return db.schema.createTable(name).addColumn('id', 'text', (column) => column.notNull().primaryKey());
}

/** Named after table and columns. */
export function index(db: Kysely<unknown>, name: string, columns: string[]) {
  return db.schema
    .createIndex(`${name}_${columns.join('_')}`)
    .on(name)
    .columns(columns)
    .execute();
}
