import type { PriceBook } from '../../catalog/price-book.ts';
import type { Catalog } from '../../catalog/schema.ts';
import { CubitError } from '../../core/errors.ts';
import type { IdKind } from '../../core/ids.ts';
import { type AuditActor, audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import type { Trx } from '../verb.ts';

const HOUR_MS = 3_600_000;
/** Between storing a version and its beginning, so that no order is placed by what it replaces after it began. */
export const AHEAD_MS_MIN = 60_000;

type By = { now(): number; newId(kind: IdKind): string };

/**
 * The catalogue's price book becomes a version at start. The first of a store sells at once. Later ones (another version
 * id) are taken in when they are newer by their `validFrom`, at that instant or, where it has passed, at the next whole
 * hour; but only until a version was imported: from then on prices are the operator's, and an upgrade of Cubit, whose
 * catalogue has example prices, changes none. What is not taken in is told, with what to do. Returns what it says.
 */
export async function takeInCatalog(
  deps: By & {
    readonly db: Db;
    readonly catalog: Pick<Catalog, 'priceBook'>;
    readonly log: { info(fields: object, message: string): void };
  },
): Promise<string | null> {
  const { priceBook } = deps.catalog;
  const said = await deps.db.transaction().execute(async (trx) => {
    const rows = await trx.selectFrom('price_books').selectAll().orderBy('valid_from_ms').execute();
    const nowMs = deps.now();
    if (rows.length === 0) {
      const validFromMs = Math.min(Date.parse(priceBook.validFrom), nowMs);
      await insertBook(trx, deps, { book: priceBook, source: 'catalog', validFromMs, nextDueMs: null }, SYSTEM);
      return `price book ${priceBook.version} is the first`;
    }
    const refused = refusalOf(priceBook, rows);
    if (refused !== null) return refused;
    const nextHourMs = Math.ceil((nowMs + AHEAD_MS_MIN) / HOUR_MS) * HOUR_MS;
    const validFromMs = Math.max(Date.parse(priceBook.validFrom), nextHourMs);
    if (rows.some((row) => row.withdrawn_at_ms === null && row.valid_from_ms === validFromMs)) {
      return `price book ${priceBook.version} is not taken in: another version begins at the same instant`;
    }
    await insertBook(trx, deps, { book: priceBook, source: 'catalog', validFromMs, nextDueMs: validFromMs }, SYSTEM);
    return `price book ${priceBook.version} is taken in and valid from ${new Date(validFromMs).toISOString()}`;
  });
  if (said !== '') deps.log.info({ version: priceBook.version }, said);
  return said === '' ? null : said;
}

const SYSTEM: AuditActor = { kind: 'system', job: 'start' };

/** null: take it in; '': nothing to do, nothing to say. */
function refusalOf(book: PriceBook, rows: readonly Row<'price_books'>[]): string | null {
  const known = rows.find((row) => row.version === book.version);
  if (known !== undefined) {
    const changed = pricesText(JSON.parse(known.document_json)) !== pricesText(book);
    if (!changed) return '';
    return known.source === 'catalog'
      ? `prices.json changed but is still version ${book.version}: a version never changes; give it another version and a later validFrom`
      : '';
  }
  if (rows.some((row) => row.source === 'import')) {
    return `price book ${book.version} of the catalogue is not taken in: prices are imported here (cubit price-book import)`;
  }
  if (rows.at(-1)?.currency !== book.currency) {
    return `price book ${book.version} is not taken in: its currency is not the platform's ${rows[0]?.currency}`;
  }
  const latestMs = Math.max(...rows.map((row) => row.valid_from_ms));
  return Date.parse(book.validFrom) > latestMs
    ? null
    : `price book ${book.version} is not taken in: it is not newer; give it a validFrom after ${new Date(latestMs).toISOString()}`;
}

/** What of a document is the same however it is written down. */
function pricesText({ currency, prices }: PriceBook): string {
  return JSON.stringify([currency, prices]);
}

/** Writes a version. `nextDueMs`: when it starts for running groups first; null: it does not. Throws `conflict`. */
export async function insertBook(
  trx: Trx,
  by: By,
  version: {
    readonly book: PriceBook;
    readonly source: 'catalog' | 'import';
    readonly validFromMs: number;
    readonly nextDueMs: number | null;
  },
  actor: AuditActor,
): Promise<Row<'price_books'>> {
  const { book, source, validFromMs, nextDueMs } = version;
  const validFrom = Date.parse(book.validFrom) === validFromMs ? book.validFrom : new Date(validFromMs).toISOString();
  const { schema: _, ...facts } = book;
  const row: Row<'price_books'> = {
    version: book.version,
    currency: book.currency,
    valid_from_ms: validFromMs,
    source,
    document_json: JSON.stringify({ schema: 1, ...facts, validFrom }),
    created_at_ms: by.now(),
    withdrawn_at_ms: null,
    next_due_ms: nextDueMs,
    done_to_group_id: null,
  };
  const stored = await trx
    .insertInto('price_books')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('version')
    .executeTakeFirst();
  if (stored === undefined) {
    throw new CubitError('conflict', 'Another version of the price book was stored at the same moment. Try again.');
  }
  const detail = { source, validFromMs, prices: book.prices.length };
  await audit(trx, { ...by, actor }, { verb: 'price-book.import', subject: row.version, tenantId: null, detail });
  return row;
}
