import { sql } from 'kysely';
import { z } from 'zod';
import { OUTCOMES } from '../../core/serving/outcome.ts';
import { invalidField } from '../input.ts';
import { scopeOf } from '../internal.ts';
import { Count, EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

const DAY_MS = 86_400_000;
/** Every receipt of the span is read, so the span has a bound. */
const SPAN_MS_MAX = 31 * DAY_MS;

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
  access: 'read',
  route: { method: 'GET', path: '/usage/summary' },
  input: z.strictObject({
    tenantId: TenantFilter,
    endpointId: Id.optional().describe('Only this endpoint'),
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
    const { endpointId } = input;
    const rows = await ctx.db
      .selectFrom('receipts')
      .select(['endpoint_id', 'outcome'])
      .select((eb) => [
        eb.fn.countAll<number>().as('requests'),
        total('prompt_tokens').as('prompt_tokens'),
        total('cached_tokens').as('cached_tokens'),
        total('output_tokens').as('output_tokens'),
        total('estimated_prefill_us + estimated_decode_us').as('estimated_us'),
        total('actual_prefill_us + actual_decode_us').as('actual_us'),
      ])
      .where('received_at_ms', '>=', fromMs)
      .where('received_at_ms', '<', toMs)
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
      .$if(endpointId !== undefined, (query) => query.where('endpoint_id', '=', endpointId ?? ''))
      .groupBy(['endpoint_id', 'outcome'])
      .orderBy('endpoint_id')
      .orderBy('outcome')
      .execute();
    const items = rows.map((row) => ({
      endpointId: row.endpoint_id,
      outcome: row.outcome,
      requests: row.requests,
      promptTokens: row.prompt_tokens,
      cachedTokens: row.cached_tokens,
      outputTokens: row.output_tokens,
      estimatedUs: row.estimated_us,
      actualUs: row.actual_us,
    }));
    return { fromMs, toMs, items };
  },
});

/** A sum of whole numbers; PostgreSQL would widen it to a decimal by itself. */
function total(expression: string) {
  return sql<number>`cast(sum(${sql.raw(expression)}) as bigint)`;
}
