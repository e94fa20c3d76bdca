import type { Kysely } from 'kysely';
import { move } from '../../core/commerce/ledger.ts';
import { earnedMicros } from '../../core/commerce/prepaid.ts';
import { nextMidnightMs } from '../../core/commerce/term.ts';
import type { IdKind } from '../../core/ids.ts';
import { post } from '../../store/ledger.ts';
import type { Database, Row } from '../../store/schema.ts';
import type { Trx } from '../verb.ts';

/**
 * Prepaid money is earned when its days have passed: at each midnight of the tenant's zone one transaction moves what
 * the day earned from `unearned` to `revenue`. What is moved is the difference of the lot's cumulative figure and the
 * last one written, so it makes no difference how late this runs or how often.
 */
export interface RecogniseBy {
  now(): number;
  newId(kind: IdKind): string;
}

type Tenant = Pick<Row<'tenants'>, 'id' | 'zone'>;

/** Up to where a tenant's prepaid money is recognised; minus infinity before the first time. */
export async function recognisedToMs(db: Kysely<Database>, tenantId: string): Promise<number> {
  const last = await db
    .selectFrom('recognitions')
    .select('to_ms')
    .where('tenant_id', '=', tenantId)
    .orderBy('to_ms', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last?.to_ms ?? Number.NEGATIVE_INFINITY;
}

/** The next midnight at which the tenant's prepaid money is earned, or null when all of it is. */
export async function nextRecognitionMs(db: Kysely<Database>, tenant: Tenant): Promise<number | null> {
  const doneMs = await recognisedToMs(db, tenant.id);
  const { from_ms } = await unfinished(db, tenant.id, doneMs)
    .select((eb) => eb.fn.min<number | null>('from_ms').as('from_ms'))
    .executeTakeFirstOrThrow();
  return from_ms === null ? null : nextMidnightMs(Math.max(doneMs, from_ms), tenant.zone);
}

/** Writes down when the job is to come back. To be called after whatever changes lots or recognises them. */
export async function scheduleRecognition(trx: Trx, tenant: Tenant): Promise<void> {
  const dueMs = await nextRecognitionMs(trx, tenant);
  await trx
    .insertInto('recognition_standings')
    .values({ tenant_id: tenant.id, due_ms: dueMs })
    .onConflict((conflict) => conflict.column('tenant_id').doUpdateSet({ due_ms: dueMs }))
    .execute();
}

/** Every midnight that has passed by `untilMs`, in order. */
export async function recogniseUntil(trx: Trx, by: RecogniseBy, tenant: Tenant, untilMs: number): Promise<void> {
  for (;;) {
    const toMs = await nextRecognitionMs(trx, tenant);
    if (toMs === null || toMs > untilMs) return;
    await recogniseDay(trx, by, tenant, toMs);
  }
}

/** One midnight, which has to be the one that `nextRecognitionMs` names. */
export async function recogniseDay(trx: Trx, by: RecogniseBy, tenant: Tenant, toMs: number): Promise<void> {
  const lots = await unfinished(trx, tenant.id, await recognisedToMs(trx, tenant.id))
    .where('from_ms', '<', toMs)
    .select(['id', 'from_ms', 'to_ms', 'paid_micros'])
    .orderBy('id')
    .execute();
  const lines: { lot_id: string; amount_micros: bigint; amount_total_micros: bigint }[] = [];
  for (const lot of lots) {
    const total = earnedMicros({ fromMs: lot.from_ms, toMs: lot.to_ms, units: 1, paidMicros: lot.paid_micros }, toMs);
    const amount = total - (await recognisedMicros(trx, lot.id));
    if (amount > 0n) lines.push({ lot_id: lot.id, amount_micros: amount, amount_total_micros: total });
  }
  const amountMicros = lines.reduce((sum, line) => sum + line.amount_micros, 0n);
  const day = new Date(toMs).toISOString();
  const posted =
    amountMicros === 0n
      ? null
      : await post(trx, by, {
          tenantId: tenant.id,
          kind: 'recognition',
          idempotencyKey: `recognition:${tenant.id}:${toMs}`,
          memo: `Prepaid units, days until ${day}`,
          // The last instant of the day that passed, so that it counts in that day's month.
          bookedAtMs: toMs - 1,
          entries: move(amountMicros, 'unearned', 'revenue'),
        });
  const id = by.newId('recognition');
  const transactionId = posted?.transactionId ?? null;
  await trx
    .insertInto('recognitions')
    .values({ id, tenant_id: tenant.id, to_ms: toMs, amount_micros: amountMicros, transaction_id: transactionId })
    .execute();
  for (const line of lines)
    await trx
      .insertInto('recognition_lines')
      .values({ recognition_id: id, ...line })
      .execute();
}

/** What a lot has earned so far, as it is in the ledger. */
export async function recognisedMicros(db: Kysely<Database>, lotId: string): Promise<bigint> {
  const line = await db
    .selectFrom('recognition_lines')
    .select('amount_total_micros')
    .where('lot_id', '=', lotId)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return line?.amount_total_micros ?? 0n;
}

/** Lots with money that may not be earned yet: those that ended by `doneMs` were recognised whole then. */
function unfinished(db: Kysely<Database>, tenantId: string, doneMs: number) {
  return db
    .selectFrom('prepaid_lots')
    .leftJoin('lot_closings', 'lot_closings.lot_id', 'prepaid_lots.id')
    .where('tenant_id', '=', tenantId)
    .where('to_ms', '>', Number.isFinite(doneMs) ? doneMs : 0)
    .where('lot_id', 'is', null);
}
