import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id, Money, money } from '../schemas.ts';

export const Upstream = z.object({
  upstreamId: Id,
  tenantId: Id,
  name: z.string(),
  baseUrl: z.string(),
  model: z.string(),
  hasSecret: z.boolean().describe('The secret itself is never shown'),
  input: Money.describe('Per million tokens'),
  cachedInput: Money,
  output: Money,
  contextTokens: z.int(),
  outputTokensMax: z.int(),
  concurrencyMax: z.int(),
  createdAtMs: EpochMs,
});

export function upstreamView(row: Row<'upstreams'>, currency: string): z.output<typeof Upstream> {
  return {
    upstreamId: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    baseUrl: row.base_url,
    model: row.model,
    hasSecret: row.api_key !== null,
    input: money(row.input_micros, currency),
    cachedInput: money(row.cached_micros, currency),
    output: money(row.output_micros, currency),
    contextTokens: row.context_tokens,
    outputTokensMax: row.output_tokens_max,
    concurrencyMax: row.concurrency_max,
    createdAtMs: row.created_at_ms,
  };
}
