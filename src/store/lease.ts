import { type Kysely, type RawBuilder, sql } from 'kysely';
import { isPostgres } from './dialect.ts';
import type { Database } from './schema.ts';

export interface Lease {
  /** What only one does at a time. */
  readonly name: string;
  /** Who, unlike every other process. */
  readonly holder: string;
  /** How long it lasts unless taken again: a dead holder keeps the others waiting for so long. */
  readonly ttlMs: number;
}

/**
 * Takes or extends a lease; false while another holder has it. Its time is the database's own, one clock for all
 * processes, and real time whatever clock a test moves. An end further away than `ttlMs` was written before that clock
 * was set back, and counts as past.
 */
export async function takeLease(db: Kysely<Database>, { name, holder, ttlMs }: Lease): Promise<boolean> {
  const nowMs = databaseNowMs(db);
  const endMs = sql<number>`${nowMs} + ${sql.lit(Math.round(ttlMs))}`;
  const taken = await db
    .insertInto('leases')
    .values({ name, holder, expires_at_ms: endMs })
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet({ holder, expires_at_ms: endMs })
        .where((eb) =>
          eb.or([
            eb('leases.holder', '=', holder),
            eb('leases.expires_at_ms', '<=', nowMs),
            eb('leases.expires_at_ms', '>', endMs),
          ]),
        ),
    )
    .returning('name')
    .executeTakeFirst();
  return taken !== undefined;
}

/** Gives a lease back; nothing happens when another has it by now. */
export async function releaseLease(db: Kysely<Database>, lease: Pick<Lease, 'name' | 'holder'>): Promise<void> {
  await db.deleteFrom('leases').where('name', '=', lease.name).where('holder', '=', lease.holder).execute();
}

function databaseNowMs(db: Kysely<Database>): RawBuilder<number> {
  return isPostgres(db)
    ? sql<number>`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`
    : sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;
}
