import { setImmediate as nextTick } from 'node:timers/promises';
import { sql } from 'kysely';
import { z } from 'zod';
import { OUTCOMES } from '../../core/serving/outcome.ts';
import { invalidField } from '../input.ts';
import { type Db, endpointIdOf, scopeOf } from '../internal.ts';
import { Count, EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

const DAY_MS = 86_400_000;
/** Every receipt of the span is read, so the span has a bound; a slice at a time, so that requests get their turn. */
const SPAN_MS_MAX = 31 * DAY_MS;
const SLICE_MS = 3_600_000;

const SummaryRow = z.object({
  endpointId: Id.nullable(),
  outcome: z.enum(OUTCOMES),
  requests: Count,
  promptTokens: Count,
  cachedTokens: Count,
  outputTokens: Count,
  estimatedUs: Count.describe('Work estimated at admission, unit-microseconds'),
  actualUs: Count.describe('Work from the tokens there were, unit-microseconds'),
});

export const usageSummary = defineVerb({
  name: 'usage.summary',
  summary: 'Requests, tokens and work per endpoint and outcome, of the last 24 hours or of up to 31 days.',
  access: 'view',
  route: { method: 'GET', path: '/usage/summary' },
  input: z.strictObject({
    tenantId: TenantFilter,
    endpointId: Id.optional().describe('Only this endpoint, by id or name'),
    fromMs: EpochMs.optional().describe('Received from here; 24 hours before toMs when left out'),
    toMs: EpochMs.optional().describe('Received before this; now when left out'),
  }),
  output: z.object({ fromMs: EpochMs, toMs: EpochMs, items: z.array(SummaryRow) }),
  columns: ['endpointId', 'outcome', 'requests', 'promptTokens', 'outputTokens', 'estimatedUs', 'actualUs'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const toMs = input.toMs ?? ctx.now() + 1;
    const fromMs = input.fromMs ?? toMs - DAY_MS;
    if (fromMs > toMs || toMs - fromMs > SPAN_MS_MAX) throw invalidField('fromMs', 'at most 31 days before toMs');
    const endpointId = await endpointIdOf(ctx.db, scope, input.endpointId);
    const sums = new Map<string, z.output<typeof SummaryRow>>();
    for (let atMs = fromMs; atMs < toMs; atMs += SLICE_MS) {
      const slice = { fromMs: atMs, toMs: Math.min(atMs + SLICE_MS, toMs) };
      for (const row of await sumsOf(ctx.db, { scope, endpointId }, slice)) {
        const key = `${row.endpointId ?? ''} ${row.outcome}`;
        sums.set(key, plus(sums.get(key), row));
      }
      await nextTick();
    }
    const items = [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
    return { fromMs, toMs, items };
  },
});

async function sumsOf(
  db: Db,
  of: { readonly scope: string | null; readonly endpointId: string | undefined },
  span: { readonly fromMs: number; readonly toMs: number },
): Promise<z.output<typeof SummaryRow>[]> {
  const { scope, endpointId } = of;
  return db
    .selectFrom('receipts')
    .select(['endpoint_id as endpointId', 'outcome'])
    .select((eb) => [
      eb.fn.countAll<number>().as('requests'),
      total('prompt_tokens').as('promptTokens'),
      total('cached_tokens').as('cachedTokens'),
      total('output_tokens').as('outputTokens'),
      total('estimated_prefill_us + estimated_decode_us').as('estimatedUs'),
      total('actual_prefill_us + actual_decode_us').as('actualUs'),
    ])
    .where('received_at_ms', '>=', span.fromMs)
    .where('received_at_ms', '<', span.toMs)
    .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
    .$if(endpointId !== undefined, (query) => query.where('endpoint_id', '=', endpointId ?? ''))
    .groupBy(['endpoint_id', 'outcome'])
    .execute();
}

function plus(
  before: z.output<typeof SummaryRow> | undefined,
  row: z.output<typeof SummaryRow>,
): z.output<typeof SummaryRow> {
  if (before === undefined) return row;
  const sum = { ...before };
  for (const [name, value] of Object.entries(row)) {
    if (typeof value === 'number') sum[name as 'requests'] += value;
  }
  return sum;
}

/** A sum of whole numbers; PostgreSQL would widen it to a decimal by itself. */
function total(expression: string) {
  return sql<number>`cast(sum(${sql.raw(expression)}) as bigint)`;
}
