import { CompiledQuery, type Kysely, sql } from 'kysely';
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

/** Rows a statement: SQLite keeps it prepared. */
const ROWS = 50;

/**
 * Inserts lines of `lineOf`, all of one version, each once by its request id; all of them or, when it throws, none. In the
 * same transaction the work of those that are new is added to their quarter hours, and what is paid by the token is
 * counted. A TypeError says that a line is none.
 */
export async function insertLines(db: Kysely<Database>, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const rows = lines.map((line) => JSON.parse(line) as Row<'receipts'>);
  const names = Object.keys(rows[0]!);
  if (names.length === 0 || names.some((name) => !/^[a-z_]+$/.test(name))) throw new TypeError('not a receipt');
  await db.transaction().execute(async (trx) => {
    const fresh = new Set(isPostgres(db) ? await insertJson(trx, names, lines) : await insertRows(trx, names, rows));
    // Of two with one id in this batch the first was taken.
    const taken = rows.filter(({ id }) => fresh.delete(id)).map(receiptOf);
    await addToQuarters(trx, taken);
    await countTokens(trx, taken);
  });
}

/** The ids that are new. */
async function insertJson(
  trx: Kysely<Database>,
  names: readonly string[],
  lines: readonly string[],
): Promise<string[]> {
  const columns = sql.join(names.map((name) => sql.ref(name)));
  const rows = sql`select ${columns} from json_populate_recordset(null::receipts, ${`[${lines.join(',')}]`}::json)`;
  const inserted = sql<{
    id: string;
  }>`insert into receipts (${columns}) ${rows} on conflict (id) do nothing returning id`;
  return (await inserted.execute(trx)).rows.map(({ id }) => id);
}

/** The ids that are new. Building such statements anew costs more than running them; SQLite's own JSON functions take twice the time. */
async function insertRows(
  trx: Kysely<Database>,
  names: readonly string[],
  rows: readonly Row<'receipts'>[],
): Promise<string[]> {
  const row = `(${names.map(() => '?').join(',')})`;
  const insert = (count: number) =>
    `insert into receipts (${names.join(',')}) values ${Array(count).fill(row).join(',')} on conflict (id) do nothing returning id`;
  const many = insert(ROWS);
  const ids: string[] = [];
  for (let at = 0; at < rows.length; at += ROWS) {
    const part = rows.slice(at, at + ROWS);
    const values = part.flatMap((one) => Object.values(one));
    if (values.length !== part.length * names.length) throw new TypeError('receipts of different versions');
    const query = CompiledQuery.raw(part.length === ROWS ? many : insert(part.length), values);
    const inserted = await trx.executeQuery(query as CompiledQuery<{ id: string }>);
    ids.push(...inserted.rows.map(({ id }) => id));
  }
  return ids;
}

function rowOf(receipt: Receipt): NewRow<'receipts'> {
  return {
    id: receipt.requestId,
    tenant_id: receipt.tenantId,
    key_id: receipt.keyId,
    endpoint_id: receipt.endpointId,
    served_model_id: receipt.servedModelId,
    replica_id: receipt.replicaId,
    adapter_id: receipt.adapterId,
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
    spill_from: receipt.spill?.fromEndpointId ?? null,
    spill_target: receipt.spill?.targetId ?? null,
    spill_reason: receipt.spill?.reason ?? null,
    spill_cost_micros: receipt.spill?.costMicros ?? null,
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
    adapterId: row.adapter_id,
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
    spill: spillOf(row),
  };
}

function spillOf(row: Row<'receipts'>): Receipt['spill'] {
  // Lines that an older version left in the journal do not have them.
  if ((row.spill_from ?? null) === null) return null;
  return {
    fromEndpointId: row.spill_from as string,
    targetId: row.spill_target as string,
    reason: row.spill_reason as string,
    costMicros: Number(row.spill_cost_micros),
  };
}
