import type { PriceBook } from '../../catalog/price-book.ts';
import { samePrices, type UnitPrices } from '../../core/commerce/price-book.ts';
import { CubitError } from '../../core/errors.ts';
import { bookAt, unitPricesOf } from '../price-book/book.ts';
import type { Ctx, Trx } from '../verb.ts';

/** Of one unit. */
export interface Price extends UnitPrices {
  /** Of the price book. */
  readonly version: string;
}

/** A template's price by this version of the book. Throws `unsupported_feature` when the template is not for sale. */
export function priceOf({ prices, version }: PriceBook, templateId: string): Price {
  const price = prices.find((row) => row.templateId === templateId);
  if (price === undefined) {
    throw new CubitError(
      'unsupported_feature',
      `Template ${templateId} is not for sale: price book ${version} has no price.`,
      { details: { param: 'templateId' } },
    );
  }
  return { ...unitPricesOf(price), version };
}

/**
 * The price that an order has at the instant it was asked for. Throws `unsupported_feature` as `priceOf` does, and
 * `quote_changed` when it is another now.
 */
export async function orderPrice(
  trx: Trx,
  ctx: Pick<Ctx, 'catalog' | 'now'>,
  templateId: string,
  askedAtMs: number,
): Promise<Price> {
  const priceAt = async (atMs: number) => priceOf(await bookAt(trx, ctx.catalog, atMs), templateId);
  const price = await priceAt(askedAtMs);
  const nowMs = ctx.now();
  return nowMs > askedAtMs ? checkSame(templateId, price, await priceAt(nowMs)) : price;
}

/** The first of two prices of one order. Throws `quote_changed` when the second has other figures. */
export function checkSame<P extends UnitPrices & { readonly version: string }>(
  templateId: string,
  asked: P,
  now: P,
): P {
  if (samePrices(asked, now)) return asked;
  throw quoteChanged(`the price of ${templateId} is another by now (price book ${now.version})`);
}

export function quoteChanged(why: string): CubitError {
  return new CubitError('quote_changed', `The quote does not hold any more: ${why}. Preview again.`, {
    details: { param: 'quoteId' },
  });
}
