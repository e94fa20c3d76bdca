import { z } from 'zod';
import { OUTCOMES } from '../../core/serving/outcome.ts';
import { receiptOf } from '../../store/receipts.ts';
import { endpointIdOf, scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Count, EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

const Work = z.object({ prefillUs: Count, decodeUs: Count });

const ReceiptView = z.object({
  requestId: z.string(),
  tenantId: z.string(),
  keyId: z.string(),
  endpointId: z.string().nullable(),
  servedModelId: z.string().nullable(),
  replicaId: z.string().nullable().describe('Who served it'),
  adapterId: z.string().nullable().describe('The LoRA adapter that answered'),
  kind: z.enum(['chat', 'completion', 'embedding']),
  outcome: z.enum(OUTCOMES),
  cause: z.string(),
  promptTokens: Count,
  cachedTokens: Count,
  outputTokens: Count,
  estimated: Work.describe('Unit-microseconds, at admission'),
  actual: Work.describe('Unit-microseconds, from the tokens there were'),
  receivedAtMs: EpochMs,
  endedAtMs: EpochMs,
  waitMs: z.number(),
  ttftMs: z.number().nullable(),
  tpotMs: z.number().nullable(),
  spill: z
    .object({
      fromEndpointId: z.string().describe('The endpoint whose overflow it was'),
      targetId: z.string(),
      reason: z.string(),
      costMicros: Count.describe('Micro-units of the tenant’s currency, rounded up'),
    })
    .nullable()
    .describe('Where it was served instead, and why'),
});

export const usageList = defineVerb({
  name: 'usage.list',
  summary: 'Receipts of requests, newest first: estimated and actual work, and who served them.',
  access: 'view',
  route: { method: 'GET', path: '/usage/receipts' },
  input: z.strictObject({
    tenantId: TenantFilter,
    endpointId: Id.optional().describe('Only this endpoint, by id or name'),
    outcome: z.enum(OUTCOMES).optional().describe('Only requests that ended like this'),
    ...PageInput,
  }),
  output: pageOf(ReceiptView),
  columns: ['receivedAtMs', 'requestId', 'outcome', 'promptTokens', 'outputTokens', 'ttftMs', 'tpotMs'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const { outcome } = input;
    const endpointId = await endpointIdOf(ctx.db, scope, input.endpointId);
    const rows = await ctx.db
      .selectFrom('receipts')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
      .$if(endpointId !== undefined, (query) => query.where('endpoint_id', '=', endpointId ?? ''))
      .$if(outcome !== undefined, (query) => query.where('outcome', '=', outcome ?? 'completed'))
      .$call(newestFirst(input, 'received_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.received_at_ms, id: row.id }));
    return { items: page.rows.map(receiptOf), nextCursor: page.nextCursor };
  },
});
