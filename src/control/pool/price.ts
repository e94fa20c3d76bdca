import type { Catalog } from '../../catalog/schema.ts';
import { parseMicros } from '../../core/commerce/money.ts';
import type { TokenPrice } from '../../core/commerce/token-billing.ts';

/** What a model costs by the token for requests of the clock hour that begins then; null: the price book does not say. */
export function tokenPriceOf(
  catalog: Pick<Catalog, 'priceBook'>,
  modelId: string,
  _hourFromMs: number,
): TokenPrice | null {
  const { tokenPrices = [], version } = catalog.priceBook;
  const price = tokenPrices.find((row) => row.modelId === modelId);
  if (price === undefined) return null;
  return {
    inputMicros: parseMicros(price.input),
    cachedMicros: parseMicros(price.cachedInput),
    outputMicros: parseMicros(price.output),
    version,
  };
}
