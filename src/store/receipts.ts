import { type Kysely, sql } from 'kysely';
import type { Receipt } from '../core/commerce/metering.ts';
import { isPostgres } from './dialect.ts';
import type { Database, NewRow, Row } from './schema.ts';
import { countTokens } from './token-usage.ts';
import { addToQuarters } from './usage-quarters.ts';

/** Inserts receipts, each once by its request id. */
export async function insertReceipts(db: Kysely<Database>, receipts: readonly Receipt[]): Promise<void> {
  await insertLines(db, receipts.map(lineOf));
}

/** A receipt as one line of JSON that `insertLines` takes. */
export function lineOf(receipt: Receipt): string {
  return JSON.stringify(rowOf(receipt));
}

/**
 * Inserts lines of `lineOf`, all of one version, each once by its request id; in the same transaction the work of those
 * that are new is added to their quarter hours, and what is paid by the token is counted. The database itself reads the
 * JSON: a statement with a parameter per column costs ten times as much time of this process.
 */
export async function insertLines(db: Kysely<Database>, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const rows = lines.map((line) => JSON.parse(line) as Row<'receipts'>);
  const names = Object.keys(rows[0]!);
  const columns = sql.join(names.map((name) => sql.ref(name)));
  const json = `[${lines.join(',')}]`;
  const selected = isPostgres(db)
    ? sql`select ${columns} from json_populate_recordset(null::receipts, ${json}::json)`
    : sql`select ${sql.join(names.map((name) => sql`json_extract(value, ${sql.lit(`$.${name}`)})`))} from json_each(${json}) where true`;
  await db.transaction().execute(async (trx) => {
    const { rows: inserted } = await sql<{
      id: string;
    }>`insert into receipts (${columns}) ${selected} on conflict (id) do nothing returning id`.execute(trx);
    const fresh = new Set(inserted.map(({ id }) => id));
    // Of two with one id in this batch the first was taken.
    const taken = rows.filter(({ id }) => fresh.delete(id)).map(receiptOf);
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
