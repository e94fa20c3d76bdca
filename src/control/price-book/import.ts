import { z } from 'zod';
import { diffPrices } from '../../core/commerce/price-book.ts';
import type { Row } from '../../store/schema.ts';
import { invalidInput } from '../input.ts';
import { LIVE_GROUP_STATES } from '../internal.ts';
import { defineVerb, type Trx } from '../verb.ts';
import { bookAt, pricesOf } from './book.ts';
import { type FileFault, inOrder, readBookFile } from './file.ts';
import { BookVersion, differenceView, PriceDifference, Version } from './schemas.ts';
import { AHEAD_MS_MIN, insertBook } from './take-in.ts';

const FILE_CHARS_MAX = 900_000;
const DAY_MS = 86_400_000;
const AHEAD_DAYS_MAX = 1830;

export const priceBookImport = defineVerb({
  name: 'price-book.import',
  summary: 'A new version of the price book from a JSON or CSV file. Every fault is named; with one, nothing changes.',
  access: 'operator',
  route: { method: 'POST', path: '/price-books' },
  input: z.strictObject({
    file: z
      .string()
      .min(1)
      .max(FILE_CHARS_MAX)
      .meta({ contentMediaType: 'text/plain' })
      .describe('Text of the file, as price-book.export writes it'),
    format: z.enum(['json', 'csv']).optional().describe('Seen from the text when left out'),
    dryRun: z.boolean().default(false).describe('Only say what it would change'),
  }),
  output: z.object({
    imported: z.boolean().describe('false: a dry run'),
    version: Version,
    validFromMs: BookVersion.shape.validFromMs,
    follows: Version.describe('The version that it replaces'),
    changes: z.array(PriceDifference),
    runningGroups: z
      .int()
      .describe('Postpaid groups that run now and pay another price from the next hour after it begins'),
  }),
  async run({ ctx, input }) {
    const templateIds = new Set(ctx.catalog.templates.keys());
    const read = readBookFile(input.file, input.format, templateIds);
    return ctx.transaction(async (trx) => {
      const kept = await trx.selectFrom('price_books').selectAll().execute();
      const nowMs = ctx.now();
      const { currency } = await bookAt(trx, ctx.catalog, nowMs);
      const faults = [...read.faults, ...standingFaults(read.facts, { kept, currency, nowMs }).map(read.located)];
      if (read.book === null || faults.length > 0) throw invalidInput(inOrder(faults).map(faultText));
      const validFromMs = Date.parse(read.book.validFrom);
      const follows = await bookAt(trx, ctx.catalog, validFromMs - 1);
      const diff = diffPrices(pricesOf(follows), pricesOf(read.book));
      const dearer = diff.filter((one) => one.before?.hourlyPriceMicros !== one.after?.hourlyPriceMicros);
      const runningGroups = await countRunning(
        trx,
        dearer.filter((one) => one.after !== null).map((one) => one.templateId),
      );
      const version = { book: read.book, source: 'import', validFromMs, nextDueMs: validFromMs } as const;
      if (!input.dryRun) await insertBook(trx, ctx, version, ctx.actor);
      return {
        imported: !input.dryRun,
        version: read.book.version,
        validFromMs,
        follows: follows.version,
        changes: diff.map(differenceView),
        runningGroups,
      };
    });
  },
});

/** What a file cannot know: versions there are, the platform's currency, the time. */
function standingFaults(
  facts: { readonly version?: unknown; readonly currency?: unknown; readonly validFrom?: unknown },
  standing: { readonly kept: readonly Row<'price_books'>[]; readonly currency: string; readonly nowMs: number },
): { path: string; message: string }[] {
  const { kept, currency, nowMs } = standing;
  const faults: { path: string; message: string }[] = [];
  if (kept.some((row) => row.version === facts.version)) {
    faults.push({ path: 'version', message: `${facts.version} is taken; a version never changes, choose another id` });
  }
  if (typeof facts.currency === 'string' && facts.currency !== currency) {
    const known = Intl.supportedValuesOf('currency').includes(facts.currency);
    const what = known ? `${facts.currency} is not the platform's currency` : `there is no currency ${facts.currency}`;
    faults.push({ path: 'currency', message: `${what}; prices here are in ${currency}` });
  }
  const validFromMs = instantOf(facts.validFrom);
  const same = kept.find((row) => row.withdrawn_at_ms === null && row.valid_from_ms === validFromMs);
  if (validFromMs < nowMs + AHEAD_MS_MIN) {
    const message = `has to lie a minute ahead or more: prices never reach back (it is ${new Date(nowMs).toISOString()})`;
    faults.push({ path: 'validFrom', message });
  } else if (validFromMs > nowMs + AHEAD_DAYS_MAX * DAY_MS) {
    faults.push({ path: 'validFrom', message: 'lies more than five years ahead' });
  } else if (same !== undefined) {
    faults.push({
      path: 'validFrom',
      message: `version ${same.version} begins then already; withdraw it or choose another`,
    });
  }
  return faults;
}

/** NaN for what is no instant with its offset: the file's own faults say so. */
function instantOf(validFrom: unknown): number {
  const isInstant = typeof validFrom === 'string' && /T.*(Z|[+-]\d\d:?\d\d)$/.test(validFrom);
  return isInstant ? Date.parse(validFrom) : Number.NaN;
}

function faultText({ where, message }: FileFault) {
  return { field: where, message };
}

async function countRunning(trx: Trx, templateIds: readonly string[]): Promise<number> {
  if (templateIds.length === 0) return 0;
  const row = await trx
    .selectFrom('instance_groups')
    .select((eb) => eb.fn.countAll<number>().as('groups'))
    .where('billing_type', '=', 'postpaid')
    .where('state', 'in', LIVE_GROUP_STATES)
    .where('template_id', 'in', templateIds)
    .executeTakeFirst();
  return Number(row?.groups ?? 0);
}
