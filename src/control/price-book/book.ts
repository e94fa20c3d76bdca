import type { PriceBook, TemplatePrice } from '../../catalog/price-book.ts';
import type { Catalog } from '../../catalog/schema.ts';
import { parseMicros } from '../../core/commerce/money.ts';
import { parsePercent, pricedByMs, startsForRunningMs, type UnitPrices } from '../../core/commerce/price-book.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';

/**
 * The versions of the price book as the store has them. It begins with the catalogue's (`take-in.ts`); a store that has
 * none yet sells by the catalogue's.
 */
export async function bookAt(db: Db, catalog: Pick<Catalog, 'priceBook'>, atMs: number): Promise<PriceBook> {
  const row = await rowAt(db, atMs);
  return row === undefined ? catalog.priceBook : documentOf(row);
}

/** The catalogue with the price book that is valid now. */
export async function catalogNow(ctx: { db: Db; catalog: Catalog; now(): number }): Promise<Catalog> {
  return { ...ctx.catalog, priceBook: await bookAt(ctx.db, ctx.catalog, ctx.now()) };
}

/** What was validated when it was stored. */
export function documentOf(row: Pick<Row<'price_books'>, 'document_json'>): PriceBook {
  return JSON.parse(row.document_json) as PriceBook;
}

/** As `core/commerce/price-book.ts` `versionAt`, by the index. undefined: the store has no version. */
export async function rowAt(db: Db, atMs: number): Promise<Row<'price_books'> | undefined> {
  const valid = await kept(db).where('valid_from_ms', '<=', atMs).orderBy('valid_from_ms', 'desc').executeTakeFirst();
  return valid ?? (await kept(db).orderBy('valid_from_ms').executeTakeFirst());
}

function kept(db: Db) {
  return db.selectFrom('price_books').selectAll().where('withdrawn_at_ms', 'is', null).limit(1);
}

/** The price that a template was given last by an instant, also when it is not for sale any more; null: never. */
export async function lastPriceBy(
  db: Db,
  templateId: string,
  atMs: number,
): Promise<{ readonly row: Row<'price_books'>; readonly price: TemplatePrice } | null> {
  let row = await rowAt(db, atMs);
  while (row !== undefined) {
    const price = documentOf(row).prices.find((one) => one.templateId === templateId);
    if (price !== undefined) return { row, price };
    row = await kept(db)
      .where('valid_from_ms', '<', row.valid_from_ms)
      .orderBy('valid_from_ms', 'desc')
      .executeTakeFirst();
  }
  return null;
}

/** Of one unit and hour. */
export interface HourlyPrice {
  readonly hourlyPriceMicros: bigint;
  readonly version: string;
}

/**
 * What a postpaid group pays by the hour at an instant: its last segment's price, or that of a version that has started
 * for running groups since (and whose segment may not be written yet). A template that is no longer sold keeps the price
 * it had.
 */
export async function runningPrice(
  db: Db,
  group: Pick<Row<'instance_groups'>, 'id' | 'template_id' | 'created_at_ms'>,
  zone: string,
  atMs: number,
): Promise<HourlyPrice> {
  const last = await latestSegment(db, group.id);
  const listed = await lastPriceBy(db, group.template_id, pricedByMs({ orderedAtMs: group.created_at_ms, zone }, atMs));
  if (listed === null || startsForRunningMs(listed.row.valid_from_ms, zone) <= last.from_ms) {
    return { hourlyPriceMicros: last.hourly_price_micros, version: last.price_version };
  }
  return { hourlyPriceMicros: parseMicros(listed.price.hourly), version: listed.row.version };
}

export async function latestSegment(db: Db, groupId: string): Promise<Row<'group_segments'>> {
  return db
    .selectFrom('group_segments')
    .selectAll()
    .where('group_id', '=', groupId)
    .orderBy('from_ms', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
}

/** Strings of the document as exact numbers. */
export function unitPricesOf(price: TemplatePrice): UnitPrices {
  return {
    hourlyPriceMicros: parseMicros(price.hourly),
    monthlyPriceMicros: parseMicros(price.monthly),
    penalty: price.penalty,
    discounts: (price.discounts ?? []).map(({ monthsMin, percent }) => ({
      monthsMin,
      percentMillionths: parsePercent(percent),
    })),
  };
}

export function pricesOf(book: PriceBook): ReadonlyMap<string, UnitPrices> {
  return new Map(book.prices.map((price) => [price.templateId, unitPricesOf(price)]));
}
