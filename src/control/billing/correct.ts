import { z } from 'zod';
import { move } from '../../core/commerce/ledger.ts';
import { formatMicros, parseMicros } from '../../core/commerce/money.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { post } from '../../store/ledger.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { notFound, scopeOf } from '../internal.ts';
import { noteCharges, noteCredit } from '../overdue/overdue.ts';
import { Id } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { correctionsOf, requireBill } from './detail.ts';
import { Correction, correctionView } from './schemas.ts';

const DEBIT_MICROS_MAX = parseMicros('1000000');

/** A bill is never changed: what was wrong with it is put right by another posting that names it. */
export const billCorrect = defineVerb({
  name: 'bill.correct',
  summary: "Put a bill's line right by a credit or debit note: a posting of its own, with a reason; the bill stays.",
  access: 'operate',
  route: { method: 'POST', path: '/bills/{billId}/corrections' },
  input: z.strictObject({
    billId: Id,
    groupId: Id.describe('The line of this instance group'),
    kind: z.enum(['credit', 'debit']).describe('credit: give back to the wallet. debit: charge in addition'),
    amount: z
      .string()
      .regex(/^\d{1,9}(\.\d{1,6})?$/, 'a decimal number with at most 6 decimals, as in "12.50"')
      .describe("More than 0, in the bill's currency; a credit is at most what the line stands at"),
    reason: z.string().trim().min(1).max(500).describe('For the tenant: it stands on bill and statement'),
  }),
  output: Correction,
  async run({ ctx, input }) {
    const micros = parseMicros(input.amount);
    if (micros <= 0n) throw invalidField('amount', 'has to be more than 0');
    if (input.kind === 'debit' && micros > DEBIT_MICROS_MAX) throw invalidField('amount', 'at most 1000000 at a time');
    return ctx.transaction(async (trx) => {
      const bill = await requireBill(trx, scopeOf(ctx), input.billId);
      if (input.kind === 'credit') await checkCredit(trx, bill, input.groupId, micros);
      else await lineMicros(trx, bill, input.groupId);
      const amountMicros = input.kind === 'credit' ? -micros : micros;
      const row = await issueNote(trx, ctx, bill, { groupId: input.groupId, amountMicros, reason: input.reason });
      return correctionView(row, bill.currency);
    });
  },
});

async function issueNote(
  trx: Trx,
  ctx: Ctx,
  bill: Row<'bills'>,
  note: { readonly groupId: string; readonly amountMicros: bigint; readonly reason: string },
): Promise<Row<'bill_corrections'>> {
  const { groupId, amountMicros, reason } = note;
  const { tenant_id: tenantId } = bill;
  const atMs = ctx.now();
  const id = ctx.newId('correction');
  const { transactionId } = await post(trx, ctx, {
    tenantId,
    kind: 'correction',
    idempotencyKey: `correction:${id}`,
    memo: `${amountMicros < 0n ? 'Credit' : 'Debit'} note to bill ${bill.id}: ${reason}`,
    bookedAtMs: atMs,
    entries: amountMicros < 0n ? move(-amountMicros, 'revenue', 'wallet') : move(amountMicros, 'wallet', 'revenue'),
  });
  const row = {
    id,
    tenant_id: tenantId,
    bill_id: bill.id,
    group_id: groupId,
    amount_micros: amountMicros,
    reason,
    issued_at_ms: atMs,
    transaction_id: transactionId,
  };
  await trx.insertInto('bill_corrections').values(row).execute();
  if (amountMicros < 0n) await noteCredit(trx, ctx, tenantId, atMs);
  else await noteCharges(trx, ctx, [{ tenantId, atMs }]);
  const detail = { billId: bill.id, groupId, amountMicros, reason };
  await audit(trx, ctx, { verb: 'bill.correct', subject: id, tenantId, detail });
  return row;
}

/** Nobody is paid back more than a line has cost: so a note that is sent twice without a key does no great harm. */
async function checkCredit(trx: Trx, bill: Row<'bills'>, groupId: string, micros: bigint): Promise<void> {
  const notes = (await correctionsOf(trx, bill.id)).filter((note) => note.group_id === groupId);
  const left = notes.reduce((sum, note) => sum + note.amount_micros, await lineMicros(trx, bill, groupId));
  if (micros <= left) return;
  throw new CubitError(
    'conflict',
    `The line of ${groupId} on ${bill.id} stands at ${formatMicros(left)} ${bill.currency}, earlier notes included: no more than that can be given back.`,
    { details: { billId: bill.id, groupId, left: formatMicros(left) } },
  );
}

async function lineMicros(trx: Trx, bill: Row<'bills'>, groupId: string): Promise<bigint> {
  const line = await trx
    .selectFrom('bill_lines')
    .select('amount_micros')
    .where('bill_id', '=', bill.id)
    .where('group_id', '=', groupId)
    .executeTakeFirst();
  if (line === undefined) throw notFound(`line of bill ${bill.id} for instance group`, groupId);
  return line.amount_micros;
}
