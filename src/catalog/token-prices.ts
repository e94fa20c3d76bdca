import { z } from 'zod';
import { MONEY_PATTERN, parseMicros } from '../core/commerce/money.ts';

const amount = z
  .string()
  .refine(
    (text) => MONEY_PATTERN.test(text) && !text.startsWith('-'),
    'a decimal number such as 0.80, 6 decimals at most',
  );

const TokenPrice = z.strictObject({
  modelId: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'lower-case letters, digits, dots and hyphens'),
  /** These three: per million tokens. */
  input: amount,
  cachedInput: amount,
  output: amount,
});

/** Section of a price book: what models cost that are paid by the token. */
export const TokenPrices = z.array(TokenPrice).max(5000);

/** Of a million tokens; what more costs is a slip. */
const AMOUNT_MICROS_MAX = parseMicros('1000000');

/** What no single field can show, of every row that is sound by itself. */
export function tokenPriceFaults(
  rows: readonly unknown[],
  modelIds: ReadonlySet<string>,
): { readonly path: string; readonly message: string }[] {
  const firstOf = new Map<string, number>();
  return rows.flatMap((row, index) => {
    const price = TokenPrice.safeParse(row).data;
    if (price === undefined) return [];
    const faults: [field: string, message: string][] = [];
    const { modelId } = price;
    const first = firstOf.get(modelId);
    if (first === undefined) firstOf.set(modelId, index);
    else faults.push(['modelId', `${modelId} has a token price already, in tokenPrices[${first}]; keep one`]);
    if (!modelIds.has(modelId)) faults.push(['modelId', `no model is called ${modelId}; add it or correct the name`]);
    for (const field of ['input', 'cachedInput', 'output'] as const) {
      if (parseMicros(price[field]) > AMOUNT_MICROS_MAX) faults.push([field, 'is more than 1000000']);
    }
    if (parseMicros(price.cachedInput) > parseMicros(price.input)) {
      faults.push(['cachedInput', `is above input ${price.input}: a cached token costs less work; lower it`]);
    }
    return faults.map(([field, message]) => ({ path: `tokenPrices[${index}].${field}`, message }));
  });
}
