import { parseMicros } from '../../core/commerce/money.ts';
import { CubitError } from '../../core/errors.ts';
import type { Ctx } from '../verb.ts';

export interface Price {
  /** Of one unit. */
  readonly hourlyPriceMicros: bigint;
  /** Of one unit, prepaid. */
  readonly monthlyPriceMicros: bigint;
  /** Kept of an early refund, > 0 and ≤ 1. */
  readonly penalty: number;
  /** Of the price book. */
  readonly version: string;
}

/** The price now. Throws `unsupported_feature` when the template is not for sale. */
export function priceOf(catalog: Ctx['catalog'], templateId: string): Price {
  const { prices, version } = catalog.priceBook;
  const price = prices.find((row) => row.templateId === templateId);
  if (price === undefined) {
    throw new CubitError(
      'unsupported_feature',
      `Template ${templateId} is not for sale: price book ${version} has no price.`,
      { details: { param: 'templateId' } },
    );
  }
  const { hourly, monthly, penalty } = price;
  return { hourlyPriceMicros: parseMicros(hourly), monthlyPriceMicros: parseMicros(monthly), penalty, version };
}
