import { type RawBuilder, sql, type Transaction } from 'kysely';
import { isPostgres } from './dialect.ts';
import type { Database, NewRow } from './schema.ts';

const ROWS_PER_STATEMENT = 500;

/**
 * Inserts many rows in their order, 500 a statement. All rows have the columns of the first. They travel as one JSON
 * parameter: the statement's text is the same however many there are, so that it is prepared once, where a list of
 * thousands of parameters is compiled anew each time and leaves as much garbage behind. `tail` follows the statement.
 */
export async function insertAll<T extends keyof Database>(
  trx: Transaction<Database>,
  table: T,
  rows: readonly NewRow<T>[],
  tail: RawBuilder<unknown> = sql``,
): Promise<Record<string, unknown>[]> {
  const [first] = rows;
  if (first === undefined) return [];
  const columns = Object.keys(first);
  const returned: Record<string, unknown>[] = [];
  for (let i = 0; i < rows.length; i += ROWS_PER_STATEMENT) {
    const json = JSON.stringify(rows.slice(i, i + ROWS_PER_STATEMENT), exact);
    const source = isPostgres(trx) ? fromPostgres(table, columns, json) : fromSqlite(columns, json);
    const names = sql.join(columns.map((column) => sql.ref(column)));
    const { rows: answered } = await insert(table, names, source, tail).execute(trx);
    returned.push(...answered);
  }
  return returned;
}

function insert(table: string, names: RawBuilder<unknown>, source: RawBuilder<unknown>, tail: RawBuilder<unknown>) {
  return sql<Record<string, unknown>>`insert into ${sql.table(table)} (${names}) ${source} ${tail}`;
}

/** Money beyond 2^53 would lose digits as a JSON number; both databases read the column's type out of a string. */
function exact(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

function fromPostgres(table: string, columns: readonly string[], json: string): RawBuilder<unknown> {
  const names = sql.join(columns.map((column) => sql.ref(column)));
  return sql`select ${names} from json_populate_recordset(null::${sql.table(table)}, ${json}::json)`;
}

/** `where true` keeps `on conflict` from being read as the condition of a join. */
function fromSqlite(columns: readonly string[], json: string): RawBuilder<unknown> {
  const values = sql.join(columns.map((column) => sql`value ->> ${sql.lit(column)}`));
  return sql`select ${values} from json_each(${json}) where true`;
}
