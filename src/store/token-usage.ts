import { type Kysely, sql, type Transaction } from 'kysely';
import type { Receipt } from '../core/commerce/metering.ts';
import { isPaid } from '../core/commerce/token-billing.ts';
import { isId } from '../core/ids.ts';
import type { Database, Row } from './schema.ts';

const QUARTER_MS = 900_000;
const ROWS_PER_INSERT = 500;

/** Whether a request was served by a shared pool: its tenant pays by the token. */
function isPooled(receipt: Receipt): boolean {
  return receipt.servedModelId !== null && isId('pool', receipt.servedModelId);
}

/** Counts what these receipts cost by the token; in the transaction that writes them, and only those it did write. */
export async function countTokens(trx: Transaction<Database>, receipts: readonly Receipt[]): Promise<void> {
  const rows = new Map<string, Row<'token_usage'>>();
  for (const receipt of receipts) {
    const row = usageOf(receipt);
    if (row === null) continue;
    const key = `${row.tenant_id} ${row.endpoint_id} ${row.pool_id} ${row.quarter_ms}`;
    const before = rows.get(key);
    rows.set(key, before === undefined ? row : plus(before, row));
  }
  const counted = [...rows.values()];
  for (let i = 0; i < counted.length; i += ROWS_PER_INSERT) await add(trx, counted.slice(i, i + ROWS_PER_INSERT));
}

function usageOf(receipt: Receipt): Row<'token_usage'> | null {
  if (receipt.endpointId === null || !isPooled(receipt) || !isPaid(receipt.outcome)) return null;
  return {
    tenant_id: receipt.tenantId,
    endpoint_id: receipt.endpointId,
    pool_id: receipt.servedModelId!,
    quarter_ms: Math.floor(receipt.receivedAtMs / QUARTER_MS) * QUARTER_MS,
    requests: 1,
    input_tokens: receipt.promptTokens - receipt.cachedTokens,
    cached_tokens: receipt.cachedTokens,
    output_tokens: receipt.outputTokens,
  };
}

function plus(a: Row<'token_usage'>, b: Row<'token_usage'>): Row<'token_usage'> {
  return {
    ...a,
    requests: a.requests + b.requests,
    input_tokens: a.input_tokens + b.input_tokens,
    cached_tokens: a.cached_tokens + b.cached_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
  };
}

async function add(trx: Transaction<Database>, rows: readonly Row<'token_usage'>[]): Promise<void> {
  const sumOf = (column: 'requests' | 'input_tokens' | 'cached_tokens' | 'output_tokens') =>
    sql<number>`${sql.ref(`token_usage.${column}`)} + ${sql.ref(`excluded.${column}`)}`;
  await trx
    .insertInto('token_usage')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'quarter_ms', 'endpoint_id', 'pool_id']).doUpdateSet({
        requests: sumOf('requests'),
        input_tokens: sumOf('input_tokens'),
        cached_tokens: sumOf('cached_tokens'),
        output_tokens: sumOf('output_tokens'),
      }),
    )
    .execute();
}

/** What these tenants used by the token before an instant and have on no bill, in order of time. */
export function unbilledUsage(db: Kysely<Database>, tenantIds: readonly string[], beforeMs: number) {
  return db
    .selectFrom('token_usage')
    .leftJoin('pools', 'pools.id', 'token_usage.pool_id')
    .selectAll('token_usage')
    .select('pools.model_id')
    .where('tenant_id', 'in', tenantIds)
    .where('quarter_ms', '<', beforeMs)
    .orderBy('tenant_id')
    .orderBy('quarter_ms')
    .orderBy('endpoint_id')
    .orderBy('pool_id')
    .execute();
}

/** What `unbilledUsage` found of a tenant is on a bill now; in the bill's transaction. */
export async function takeUsage(trx: Transaction<Database>, tenantId: string, beforeMs: number): Promise<void> {
  await trx.deleteFrom('token_usage').where('tenant_id', '=', tenantId).where('quarter_ms', '<', beforeMs).execute();
}
