import type { Kysely } from 'kysely';
import type { Receipt } from '../core/commerce/metering.ts';
import type { Database, NewRow, Row } from './schema.ts';
import { countTokens } from './token-usage.ts';
import { addToQuarters } from './usage-quarters.ts';

/**
 * Inserts receipts, each once by its request id. In the same transaction the work of those that are new is added to their
 * quarter hours, and what is paid by the token is counted. At most
 * 500 at a time: a statement has a bound number of parameters.
 */
export async function insertReceipts(db: Kysely<Database>, receipts: readonly Receipt[]): Promise<void> {
  if (receipts.length === 0) return;
  await db.transaction().execute(async (trx) => {
    const inserted = await trx
      .insertInto('receipts')
      .values(receipts.map(rowOf))
      .onConflict((conflict) => conflict.column('id').doNothing())
      .returning('id')
      .execute();
    const fresh = new Set(inserted.map(({ id }) => id));
    // Of two with one id in this batch the first was taken.
    const taken = receipts.filter(({ requestId }) => fresh.delete(requestId));
    await addToQuarters(trx, taken);
    await countTokens(trx, taken);
  });
}

function rowOf(receipt: Receipt): NewRow<'receipts'> {
  return {
    id: receipt.requestId,
    tenant_id: receipt.tenantId,
    key_id: receipt.keyId,
    endpoint_id: receipt.endpointId,
    served_model_id: receipt.servedModelId,
    replica_id: receipt.replicaId,
    kind: receipt.kind,
    outcome: receipt.outcome,
    cause: receipt.cause,
    prompt_tokens: receipt.promptTokens,
    cached_tokens: receipt.cachedTokens,
    output_tokens: receipt.outputTokens,
    estimated_prefill_us: receipt.estimated.prefillUs,
    estimated_decode_us: receipt.estimated.decodeUs,
    actual_prefill_us: receipt.actual.prefillUs,
    actual_decode_us: receipt.actual.decodeUs,
    received_at_ms: Math.round(receipt.receivedAtMs),
    ended_at_ms: Math.round(receipt.endedAtMs),
    wait_ms: receipt.waitMs,
    ttft_ms: receipt.ttftMs,
    tpot_ms: receipt.tpotMs,
  };
}

export function receiptOf(row: Row<'receipts'>): Receipt {
  return {
    requestId: row.id,
    tenantId: row.tenant_id,
    keyId: row.key_id,
    endpointId: row.endpoint_id,
    servedModelId: row.served_model_id,
    replicaId: row.replica_id,
    kind: row.kind,
    outcome: row.outcome,
    cause: row.cause,
    promptTokens: row.prompt_tokens,
    cachedTokens: row.cached_tokens,
    outputTokens: row.output_tokens,
    estimated: { prefillUs: row.estimated_prefill_us, decodeUs: row.estimated_decode_us },
    actual: { prefillUs: row.actual_prefill_us, decodeUs: row.actual_decode_us },
    receivedAtMs: row.received_at_ms,
    endedAtMs: row.ended_at_ms,
    waitMs: row.wait_ms,
    ttftMs: row.ttft_ms,
    tpotMs: row.tpot_ms,
  };
}
