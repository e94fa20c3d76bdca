import { z } from 'zod';
import { TokenPrices, tokenPriceFaults } from './token-prices.ts';

/**
 * A version of the price book: the document that `catalog/prices.json` holds, that is imported and exported, and that
 * the store keeps as it is (`price_books.document_json`). `schema` is the format's number. A section beside `prices`
 * (prices of tokens, say) is one more optional field here, its rules in `readPriceBook`; the CSV form
 * (`control/price-book/csv.ts`) holds the section `prices` alone.
 *
 * Money and percents are decimal strings: exact, and readable.
 */
const decimal = z.string().superRefine((text, context) => {
  const fault = decimalFault(text, 6);
  if (fault !== null) context.addIssue({ code: 'custom', message: fault });
});

const percent = z.string().superRefine((text, context) => {
  const fault = decimalFault(text, 4);
  if (fault !== null) context.addIssue({ code: 'custom', message: fault });
});

/** Off the price of a term of so many months or more. */
const Discount = z.strictObject({ monthsMin: z.int().min(2).max(36), percent });

const TemplatePrice = z.strictObject({
  templateId: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'lower-case letters, digits, dots and hyphens'),
  hourly: decimal,
  monthly: decimal,
  /** Kept from an early refund: 0.3 = 30 %. Never 0: no refund is whole. At most 6 decimals. */
  penalty: z.number('a number above 0 and up to 1').gt(0).max(1).refine(isMillionths, 'at most 6 decimals'),
  /** Rising months, rising percents; the last that a term is long enough for counts. */
  discounts: z.array(Discount).max(12).optional(),
});

const PriceBook = z.strictObject({
  schema: z.literal(1).optional(),
  version: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/, 'letters, digits, dots, hyphens; 40 at most'),
  currency: z.string().regex(/^[A-Z]{3}$/, 'a currency of three capitals, such as CNY'),
  validFrom: z.iso.datetime({ offset: true, error: 'an instant with its offset, such as 2026-11-01T00:00:00+08:00' }),
  notes: z.string().trim().min(1, 'is empty; leave it out').max(1000).optional(),
  prices: z.array(TemplatePrice).min(1, 'a price book needs one price at least').max(5000),
  tokenPrices: TokenPrices.optional(),
});

export type PriceBook = z.output<typeof PriceBook>;
export type TemplatePrice = PriceBook['prices'][number];

const HOURLY_MAX = 10_000_000;
const MONTHLY_MAX = 1_000_000_000;

export interface PriceFault {
  /** As `prices[2].discounts[0].percent`. */
  readonly path: string;
  readonly message: string;
}

/** What prices may name. */
export interface KnownIds {
  readonly templateIds: ReadonlySet<string>;
  readonly modelIds: ReadonlySet<string>;
}

export interface PriceBookRead {
  /** null when there are faults. */
  readonly book: PriceBook | null;
  readonly faults: readonly PriceFault[];
}

/**
 * A price book from parsed JSON, with every fault: of each field, and of what no single field can show (zero and huge
 * prices, discounts out of order, templates twice or unknown), also in rows beside faulty ones.
 */
export function readPriceBook(raw: unknown, { templateIds, modelIds }: KnownIds): PriceBookRead {
  const result = PriceBook.safeParse(raw);
  const issues = result.success ? [] : result.error.issues.map(faultOf);
  const { prices, tokenPrices } = (raw ?? {}) as { prices?: unknown; tokenPrices?: unknown };
  const faults = [
    ...issues,
    ...(Array.isArray(prices) ? rowFaults(prices, templateIds) : []),
    ...(Array.isArray(tokenPrices) ? tokenPriceFaults(tokenPrices, modelIds) : []),
  ];
  return { book: result.success && faults.length === 0 ? result.data : null, faults };
}

function faultOf(issue: z.core.$ZodIssue): PriceFault {
  const path = issue.path.reduce<string>(
    (whole, key) => (typeof key === 'number' ? `${whole}[${key}]` : `${whole}${whole === '' ? '' : '.'}${String(key)}`),
    '',
  );
  const help = issue.code === 'unrecognized_keys' ? '; remove it or correct its name' : '';
  return { path, message: `${issue.message}${help}` };
}

function rowFaults(rows: readonly unknown[], templateIds: ReadonlySet<string>): PriceFault[] {
  const faults: PriceFault[] = [];
  const firstOf = new Map<string, number>();
  for (const [index, row] of rows.entries()) {
    const report: Report = (field, message) => faults.push({ path: `prices[${index}].${field}`, message });
    const id = (row as { templateId?: unknown } | null)?.templateId;
    if (typeof id === 'string') {
      const first = firstOf.get(id);
      if (!templateIds.has(id)) report('templateId', `no template is called ${id}; add it or correct the name`);
      if (first === undefined) firstOf.set(id, index);
      else report('templateId', `${id} has a price already, in prices[${first}]; keep one`);
    }
    const price = TemplatePrice.safeParse(row).data;
    if (price === undefined) continue;
    checkAmount(price.hourly, HOURLY_MAX, (message) => report('hourly', message));
    checkAmount(price.monthly, MONTHLY_MAX, (message) => report('monthly', message));
    checkDiscounts(price.discounts ?? [], report);
  }
  return faults;
}

type Report = (field: string, message: string) => void;

/** Compared as whole numbers; the part behind the point only tells zero from what is not. */
function checkAmount(text: string, max: number, report: (message: string) => void): void {
  if (/^[0.]*$/.test(text)) report('is 0; leave the row out when it is not for sale');
  const [whole = '', decimals = ''] = text.split('.');
  const over = BigInt(whole) > BigInt(max) || (BigInt(whole) === BigInt(max) && /[1-9]/.test(decimals));
  if (over) report(`is more than ${max}`);
}

function checkDiscounts(discounts: NonNullable<TemplatePrice['discounts']>, report: Report): void {
  discounts.forEach((discount, index) => {
    const at = `discounts[${index}]`;
    const before = discounts[index - 1];
    if (/^[0.]*$/.test(discount.percent)) report(`${at}.percent`, 'is 0; leave the discount out');
    if (millionthsOf(discount.percent) >= 100_000_000n) report(`${at}.percent`, 'is not below 100');
    if (before === undefined) return;
    if (discount.monthsMin <= before.monthsMin) {
      report(`${at}.monthsMin`, `is not above the one before (${before.monthsMin}); order discounts by it`);
    }
    if (millionthsOf(discount.percent) <= millionthsOf(before.percent)) {
      report(`${at}.percent`, `is not above the one before (${before.percent}): a longer term cannot cost more`);
    }
  });
}

function millionthsOf(text: string): bigint {
  const [whole = '', decimals = ''] = text.split('.');
  return BigInt(whole) * 1_000_000n + BigInt(decimals.padEnd(6, '0'));
}

function decimalFault(text: string, decimalsMax: number): string | null {
  const [, sign, whole, decimals] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === undefined) return `"${text.slice(0, 40)}" is not a decimal number such as 1.80`;
  if (sign === '-') return 'is negative';
  if (whole.length > 12) return 'is too large: 12 digits at most before the point';
  if ((decimals ?? '').length > decimalsMax) return `has more than ${decimalsMax} decimals`;
  return null;
}

function isMillionths(value: number): boolean {
  return Math.abs(value * 1e6 - Math.round(value * 1e6)) < 1e-6;
}
