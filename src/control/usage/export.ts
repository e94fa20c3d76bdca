import { z } from 'zod';
import { invalidField } from '../input.ts';
import { endpointIdOf, scopeOf } from '../internal.ts';
import { readCursor, writeCursor } from '../page.ts';
import { Count, EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { cubitLineOf, trafficRows } from './trace-lines.ts';

const WEEK_MS = 7 * 86_400_000;
const PAGE_MAX = 10_000;

export const usageExport = defineVerb({
  name: 'usage.export',
  summary: 'Traffic as a trace for `cubit simulate` and `cubit bench`: times and lengths, no content. Oldest first.',
  access: 'view',
  route: { method: 'GET', path: '/usage/export' },
  input: z.strictObject({
    tenantId: TenantFilter,
    endpointId: Id.optional().describe('Only this endpoint, by id or name'),
    fromMs: EpochMs.optional().describe('Received from here; a week before toMs when left out'),
    toMs: EpochMs.optional().describe('Received before this; now when left out'),
    ids: z.enum(['hashed', 'plain']).default('hashed').describe('How keys and endpoints are named'),
    limit: z.int().min(1).max(PAGE_MAX).default(PAGE_MAX).describe('Requests in one page'),
    cursor: z.string().max(300).optional().describe('nextCursor of the page before'),
  }),
  output: z.strictObject({
    trace: z.string().describe('A JSON object a line'),
    requests: Count,
    nextCursor: z.string().nullable(),
  }),
  prints: 'trace',
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const toMs = input.toMs ?? ctx.now() + 1;
    const fromMs = input.fromMs ?? Math.max(0, toMs - WEEK_MS);
    if (fromMs > toMs) throw invalidField('fromMs', 'is after toMs');
    const endpointId = await endpointIdOf(ctx.db, scope, input.endpointId);
    const wanted = { scope, endpointId, fromMs, toMs };
    const rows = await trafficRows(ctx.db, wanted, readCursor(input.cursor), input.limit);
    const last = rows.at(-1);
    const more = rows.length === input.limit && last !== undefined;
    return {
      trace: rows.map((row) => `${JSON.stringify(cubitLineOf(row, input.ids === 'hashed'))}\n`).join(''),
      requests: rows.length,
      nextCursor: more ? writeCursor({ atMs: last.received_at_ms, id: last.id }) : null,
    };
  },
});
