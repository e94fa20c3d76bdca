import { z } from 'zod';
import type { PriceBook } from '../../catalog/price-book.ts';
import { parseMicros } from '../../core/commerce/money.ts';
import { formatPercent, type PriceChange, type UnitPrices } from '../../core/commerce/price-book.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, notFound } from '../internal.ts';
import { EpochMs, Money, money } from '../schemas.ts';
import { documentOf, rowAt } from './book.ts';

export const Version = z.string().min(1).max(40).describe('Of the price book');

export const BookVersion = z.object({
  version: Version,
  currency: z.string(),
  state: z.enum(['future', 'valid', 'past', 'withdrawn']),
  validFromMs: EpochMs,
  source: z.enum(['catalog', 'import']),
  notes: z.string().nullable(),
  templates: z.int().describe('That have a price'),
  createdAtMs: EpochMs,
  withdrawnAtMs: EpochMs.nullable(),
});

export function versionView(row: Row<'price_books'>, validVersion: string | null, nowMs: number) {
  const { notes, prices } = documentOf(row);
  const future = row.valid_from_ms > nowMs ? 'future' : 'past';
  const state = row.version === validVersion ? 'valid' : row.withdrawn_at_ms === null ? future : 'withdrawn';
  return {
    version: row.version,
    currency: row.currency,
    state,
    validFromMs: row.valid_from_ms,
    source: row.source,
    notes: notes ?? null,
    templates: prices.length,
    createdAtMs: row.created_at_ms,
    withdrawnAtMs: row.withdrawn_at_ms,
  } satisfies z.output<typeof BookVersion>;
}

export const TemplatePrice = z.object({
  templateId: z.string(),
  hourly: Money.describe('Postpaid: of one unit'),
  monthly: Money.describe('Prepaid: of one unit'),
  penalty: z.number().describe('Kept of the unused money of units that are given back: 0.3 = 30 %'),
  discounts: z
    .array(z.object({ monthsMin: z.int(), percent: z.string() }))
    .describe('Off the price of a term of so many months or more'),
});

export function priceViews({ currency, prices }: PriceBook): z.output<typeof TemplatePrice>[] {
  return prices.map(({ templateId, hourly, monthly, penalty, discounts }) => ({
    templateId,
    hourly: money(parseMicros(hourly), currency),
    monthly: money(parseMicros(monthly), currency),
    penalty,
    discounts: discounts ?? [],
  }));
}

/** The version that is named, or the one that is valid now. Throws `not_found`. */
export async function requireVersion(
  db: Db,
  version: string | undefined,
  nowMs: number,
): Promise<{ row: Row<'price_books'>; validVersion: string | null }> {
  const valid = await rowAt(db, nowMs);
  const row =
    version === undefined
      ? valid
      : await db.selectFrom('price_books').selectAll().where('version', '=', version).executeTakeFirst();
  if (row === undefined) throw notFound('price book version', version ?? 'now');
  return { row, validVersion: valid?.version ?? null };
}

const Change = z.enum(['added', 'removed', 'changed']);

export const PriceDifference = z.object({
  templateId: z.string(),
  change: Change,
  before: z.string().nullable().describe('Hourly, monthly, penalty, discounts; null: not for sale'),
  after: z.string().nullable(),
});

export function differenceView({ templateId, before, after }: PriceChange): z.output<typeof PriceDifference> {
  const change = before === null ? 'added' : after === null ? 'removed' : 'changed';
  return { templateId, change, before: written(before), after: written(after) };
}

function written(price: UnitPrices | null): string | null {
  if (price === null) return null;
  const discounts = price.discounts.map(
    (one) => `−${formatPercent(one.percentMillionths)} % from ${one.monthsMin} months`,
  );
  const sums = `${trimmed(price.hourlyPriceMicros)}/h, ${trimmed(price.monthlyPriceMicros)}/month, penalty ${price.penalty}`;
  return [sums, ...discounts].join(', ');
}

/** At least two decimals, more where they say something. */
function trimmed(micros: bigint): string {
  return money(micros, '').amount.replace(/0{1,4}$/, '');
}
