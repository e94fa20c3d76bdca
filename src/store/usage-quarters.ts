import { type Kysely, sql } from 'kysely';
import type { Receipt } from '../core/commerce/metering.ts';
import type { Database, NewRow } from './schema.ts';

/** Every zone's hours and days are whole quarter hours. */
export const QUARTER_MS = 900_000;

/** Adds the work of receipts, which have to be new, to their quarter hours. In their transaction. */
export async function addToQuarters(db: Kysely<Database>, receipts: readonly Receipt[]): Promise<void> {
  const rows = new Map<string, NewRow<'usage_quarters'>>();
  for (const receipt of receipts) {
    const { servedModelId, keyId, tenantId, actual } = receipt;
    if (servedModelId === null || actual.prefillUs + actual.decodeUs <= 0) continue;
    const endedAtMs = Math.round(receipt.endedAtMs);
    const fromMs = endedAtMs - (endedAtMs % QUARTER_MS);
    const key = `${servedModelId} ${fromMs} ${keyId}`;
    const row = rows.get(key) ?? {
      served_model_id: servedModelId,
      from_ms: fromMs,
      key_id: keyId,
      tenant_id: tenantId,
      requests: 0,
      prefill_us: 0,
      decode_us: 0,
    };
    row.requests += 1;
    row.prefill_us += actual.prefillUs;
    row.decode_us += actual.decodeUs;
    rows.set(key, row);
  }
  if (rows.size === 0) return;
  await db
    .insertInto('usage_quarters')
    // In one order everywhere, so that two writers never wait for each other.
    .values([...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row))
    .onConflict((conflict) =>
      conflict.columns(['served_model_id', 'from_ms', 'key_id']).doUpdateSet({
        requests: sql<number>`usage_quarters.requests + excluded.requests`,
        prefill_us: sql<number>`usage_quarters.prefill_us + excluded.prefill_us`,
        decode_us: sql<number>`usage_quarters.decode_us + excluded.decode_us`,
      }),
    )
    .execute();
}
