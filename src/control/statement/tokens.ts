import { sql } from 'kysely';
import type { PaidTokens } from '../../core/commerce/token-billing.ts';
import type { Trx } from '../verb.ts';

export interface TokenSum extends PaidTokens {
  readonly endpointId: string;
  readonly modelId: string;
  readonly requests: number;
  readonly costMicros: bigint;
}

/** What each endpoint that is paid by the token cost on the bills issued between two instants. */
export async function tokenSums(
  trx: Trx,
  tenantId: string,
  span: { readonly fromMs: number; readonly toMs: number },
): Promise<TokenSum[]> {
  const sum = (column: 'requests' | 'input_tokens' | 'cached_tokens' | 'output_tokens') =>
    sql<number>`cast(sum(${sql.ref(`token_lines.${column}`)}) as bigint)`;
  const rows = await trx
    .selectFrom('bills')
    .innerJoin('token_lines', 'token_lines.bill_id', 'bills.id')
    .where('bills.tenant_id', '=', tenantId)
    .where('issued_at_ms', '>=', span.fromMs)
    .where('issued_at_ms', '<', span.toMs)
    .select(['endpoint_id as endpointId', 'model_id as modelId'])
    .select([
      sum('requests').as('requests'),
      sum('input_tokens').as('inputTokens'),
      sum('cached_tokens').as('cachedTokens'),
      sum('output_tokens').as('outputTokens'),
      sql<bigint>`cast(sum(token_lines.amount_micros) as bigint)`.as('sum_micros'),
    ])
    .groupBy(['endpoint_id', 'model_id'])
    .orderBy('endpoint_id')
    .orderBy('model_id')
    .execute();
  return rows.map(({ sum_micros, ...row }) => ({ ...row, costMicros: sum_micros }));
}
