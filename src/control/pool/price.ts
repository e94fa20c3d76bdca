import type { PriceBook } from '../../catalog/price-book.ts';
import { parseMicros } from '../../core/commerce/money.ts';
import { versionAt } from '../../core/commerce/price-book.ts';
import type { TokenPrice } from '../../core/commerce/token-billing.ts';
import type { Db } from '../internal.ts';
import { documentOf, keptVersions } from '../price-book/book.ts';

/**
 * What a model costs by the token at an instant: as the version of the price book says that is valid then, or where it
 * says nothing (a version may have no section of token prices) the last before it that does. null: none ever did.
 */
export async function tokenPriceOf(db: Db, modelId: string, atMs: number): Promise<TokenPrice | null> {
  const versions = await keptVersions(db);
  const valid = versionAt(versions, atMs);
  if (valid === undefined) return null;
  for (const { version } of versions.slice(0, versions.indexOf(valid) + 1).toReversed()) {
    const row = await db.selectFrom('price_books').selectAll().where('version', '=', version).executeTakeFirstOrThrow();
    const price = listed(documentOf(row), modelId);
    if (price !== null) return price;
  }
  return null;
}

function listed({ tokenPrices = [], version }: PriceBook, modelId: string): TokenPrice | null {
  const price = tokenPrices.find((row) => row.modelId === modelId);
  if (price === undefined) return null;
  return {
    inputMicros: parseMicros(price.input),
    cachedMicros: parseMicros(price.cachedInput),
    outputMicros: parseMicros(price.output),
    version,
  };
}
