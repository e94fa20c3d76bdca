import { type RawBuilder, type SelectQueryBuilder, type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import { CubitError } from '../core/errors.ts';

/** Fields of every list that is read newest first, a page at a time. Spread into a verb's input. */
export const PageInput = {
  limit: z.int().min(1).max(200).default(50).describe('Items in one page'),
  cursor: z.string().max(300).optional().describe('nextCursor of the page before'),
};

export function pageOf<T extends z.ZodType>(item: T) {
  return z.strictObject({ items: z.array(item), nextCursor: z.string().nullable() });
}

/** The last item of a page; the next one starts behind it. Opaque to clients. */
export interface Cursor {
  readonly atMs: number;
  readonly id: string;
}

const CursorShape = z.tuple([z.int(), z.string()]);

export function writeCursor({ atMs, id }: Cursor): string {
  return Buffer.from(JSON.stringify([atMs, id])).toString('base64url');
}

/** Throws `invalid_request` when it is not one that a list gave out. */
export function readCursor(cursor: string | undefined): Cursor | null {
  if (cursor === undefined) return null;
  try {
    const [atMs, id] = CursorShape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    return { atMs, id };
  } catch {
    throw new CubitError('invalid_request', 'cursor: take the nextCursor of the page before, or leave it out.', {
      details: { faults: [{ field: 'cursor', message: 'is not one that a list gave out' }] },
    });
  }
}

/**
 * For `$call`: the rows of one page, newest first by both columns, behind the input's cursor, and one more that tells
 * `cutPage` whether a next page exists. Throws `invalid_request` for a cursor that no list gave out.
 */
export function newestFirst(input: { cursor?: string | undefined; limit: number }, atColumn: string, idColumn: string) {
  const cursor = readCursor(input.cursor);
  return <DB, TB extends keyof DB, O>(query: SelectQueryBuilder<DB, TB, O>): SelectQueryBuilder<DB, TB, O> =>
    query
      .where(behind(cursor, atColumn, idColumn))
      .orderBy(sql.ref(atColumn), 'desc')
      .orderBy(sql.ref(idColumn), 'desc')
      .limit(input.limit + 1);
}

function behind(cursor: Cursor | null, atColumn: string, idColumn: string): RawBuilder<SqlBool> {
  if (cursor === null) return sql<SqlBool>`1 = 1`;
  return sql<SqlBool>`(${sql.ref(atColumn)}, ${sql.ref(idColumn)}) < (${cursor.atMs}, ${cursor.id})`;
}

/** Cuts `limit + 1` rows to a page. */
export function cutPage<R>(rows: readonly R[], limit: number, cursorOf: (row: R) => Cursor) {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, nextCursor: rows.length > limit && last !== undefined ? writeCursor(cursorOf(last)) : null };
}
