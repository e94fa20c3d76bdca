import { z } from 'zod';

/**
 * A version of the price book: the document that `catalog/prices.json` holds, that is imported and exported, and that
 * the store keeps as it is (`price_books.document_json`). `schema` is the format's number. A section beside `prices`
 * (prices of tokens, say) is one more optional field here, its rules in `readPriceBook`; the CSV form
 * (`control/price-book/csv.ts`) holds the section `prices` alone.
 *
 * Money and percents are decimal strings: exact, and readable.
 */
const TEXT = 'a decimal number in quotes, such as "1.80"';

function decimal(limits: DecimalLimits) {
  return z.string(TEXT).superRefine((text, context) => {
    const message = decimalFault(text, limits);
    if (message !== null) context.addIssue({ code: 'custom', message });
  });
}

/** Off the price of a term of so many months or more. */
const Discount = z.strictObject({
  monthsMin: z.int('a whole number of months, 2 to 36').min(2).max(36),
  percent: decimal({ decimals: 4, below: 100, zero: 'leave the discount out' }),
});

const NOT_SOLD = 'leave the row out when it is not for sale';

const TemplatePrice = z.strictObject({
  templateId: z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'lower-case letters, digits, dots and hyphens'),
  hourly: decimal({ decimals: 6, max: 10_000_000, zero: NOT_SOLD }),
  monthly: decimal({ decimals: 6, max: 1_000_000_000, zero: NOT_SOLD }),
  /** Kept from an early refund: 0.3 = 30 %. Never 0: no refund is whole. At most 6 decimals. */
  penalty: z.number('a number above 0 and up to 1').gt(0).max(1).refine(isMillionths, 'has more than 6 decimals'),
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
});

export type PriceBook = z.output<typeof PriceBook>;
export type TemplatePrice = PriceBook['prices'][number];

export interface PriceFault {
  /** As `prices[2].discounts[0].percent`. */
  readonly path: string;
  readonly message: string;
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
export function readPriceBook(raw: unknown, templateIds: ReadonlySet<string>): PriceBookRead {
  const result = PriceBook.safeParse(raw);
  const issues = result.success ? [] : result.error.issues.flatMap(faultsOf);
  const rows = (raw as { prices?: unknown } | null)?.prices;
  const faults = [...issues, ...(Array.isArray(rows) ? rowFaults(rows, templateIds) : [])];
  return { book: result.success && faults.length === 0 ? result.data : null, faults };
}

function faultsOf(issue: z.core.$ZodIssue): PriceFault[] {
  if (issue.code !== 'unrecognized_keys') return [{ path: pathText(issue.path), message: issue.message }];
  const message = 'there is no such field; remove it or correct its name';
  return issue.keys.map((key) => ({ path: pathText([...issue.path, key]), message }));
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (whole, key) => (typeof key === 'number' ? `${whole}[${key}]` : `${whole}${whole === '' ? '' : '.'}${String(key)}`),
    '',
  );
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
    const discounts = (row as { discounts?: unknown } | null)?.discounts;
    if (Array.isArray(discounts)) checkOrder(discounts, report);
  }
  return faults;
}

type Report = (field: string, message: string) => void;

/** A discount that is faulty itself is left out. */
function checkOrder(discounts: readonly unknown[], report: Report): void {
  let before: z.output<typeof Discount> | undefined;
  for (const [index, raw] of discounts.entries()) {
    const discount = Discount.safeParse(raw).data;
    if (discount === undefined) continue;
    if (before !== undefined && discount.monthsMin <= before.monthsMin) {
      report(
        `discounts[${index}].monthsMin`,
        `is not above the one before (${before.monthsMin}); order discounts by it`,
      );
    }
    if (before !== undefined && millionthsOf(discount.percent) <= millionthsOf(before.percent)) {
      const why = 'a longer term cannot cost more';
      report(`discounts[${index}].percent`, `is not above the one before (${before.percent}): ${why}`);
    }
    before = discount;
  }
}

interface DecimalLimits {
  readonly decimals: number;
  readonly max?: number;
  readonly below?: number;
  /** What to do instead of 0. */
  readonly zero: string;
}

/** null: it is a decimal number within the limits. Compared as whole numbers of millionths. */
function decimalFault(text: string, { decimals, max, below, zero }: DecimalLimits): string | null {
  const [, sign, whole, part] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole === undefined) return `"${text.slice(0, 40)}" is not a decimal number such as 1.80`;
  if (sign === '-') return 'is negative';
  if (whole.length > 12) return 'is too large: 12 digits at most before the point';
  if ((part ?? '').length > decimals) return `has more than ${decimals} decimals`;
  const millionths = millionthsOf(text);
  if (millionths === 0n) return `is 0; ${zero}`;
  if (max !== undefined && millionths > BigInt(max) * 1_000_000n) return `is more than ${max}`;
  return below !== undefined && millionths >= BigInt(below) * 1_000_000n ? `is not below ${below}` : null;
}

function millionthsOf(text: string): bigint {
  const [whole = '', decimals = ''] = text.split('.');
  return BigInt(whole) * 1_000_000n + BigInt(decimals.padEnd(6, '0'));
}

function isMillionths(value: number): boolean {
  return Math.abs(value * 1e6 - Math.round(value * 1e6)) < 1e-6;
}
