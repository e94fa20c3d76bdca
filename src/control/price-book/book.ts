import type { PriceBook, TemplatePrice } from '../../catalog/price-book.ts';
import type { Catalog } from '../../catalog/schema.ts';
import { parseMicros } from '../../core/commerce/money.ts';
import {
  parsePercent,
  pricedByMs,
  startsForRunningMs,
  type UnitPrices,
  versionAt,
} from '../../core/commerce/price-book.ts';
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

/** The version that is valid at an instant. undefined: the store has none. */
export async function rowAt(db: Db, atMs: number): Promise<Row<'price_books'> | undefined> {
  const valid = versionAt(await keptVersions(db), atMs);
  return valid === undefined ? undefined : rowOf(db, valid.version);
}

/** Those that are not withdrawn, in order of their beginning. */
export async function keptVersions(db: Db): Promise<{ readonly version: string; readonly validFromMs: number }[]> {
  return db
    .selectFrom('price_books')
    .select(['version', 'valid_from_ms as validFromMs'])
    .where('withdrawn_at_ms', 'is', null)
    .orderBy('valid_from_ms')
    .execute();
}

function rowOf(db: Db, version: string): Promise<Row<'price_books'>> {
  return db.selectFrom('price_books').selectAll().where('version', '=', version).executeTakeFirstOrThrow();
}

export interface ListedPrice {
  readonly row: Row<'price_books'>;
  readonly price: TemplatePrice;
}

/** The price that a template was given last by an instant, also when it is not for sale any more; null: never. */
export async function lastPriceBy(db: Db, templateId: string, atMs: number): Promise<ListedPrice | null> {
  const versions = await keptVersions(db);
  const valid = versionAt(versions, atMs);
  const upTo = valid === undefined ? [] : versions.slice(0, versions.indexOf(valid) + 1);
  for (const { version } of upTo.toReversed()) {
    const row = await rowOf(db, version);
    const price = documentOf(row).prices.find((one) => one.templateId === templateId);
    if (price !== undefined) return { row, price };
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
  return hourlyPriceFor(last, listed, zone);
}

/** After a segment: its own price, or `listed` where that started for running groups later than the segment. */
export function hourlyPriceFor(last: Row<'group_segments'>, listed: ListedPrice | null, zone: string): HourlyPrice {
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
