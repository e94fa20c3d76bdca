import { z } from 'zod';
import { POSTING_KINDS } from '../../core/commerce/ledger.ts';
import { requireTenant } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { EpochMs, Id, Money, money, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';

const WalletEntry = z.object({
  transactionId: Id,
  kind: z.enum(POSTING_KINDS),
  memo: z.string(),
  amount: Money.describe('Positive: into the wallet'),
  bookedAtMs: EpochMs.describe('When it counts'),
  createdAtMs: EpochMs.describe('When it was written'),
});

export const walletEntries = defineVerb({
  name: 'wallet.entries',
  summary: 'What went into a wallet and out of it, newest first.',
  access: 'view_money',
  route: { method: 'GET', path: '/wallet/entries' },
  input: z.strictObject({ tenantId: TenantId, ...PageInput }),
  output: pageOf(WalletEntry),
  columns: ['transactionId', 'kind', 'amount', 'bookedAtMs', 'memo'],
  async run({ ctx, input }) {
    const { id: tenantId, currency } = await requireTenant(ctx.db, tenantOf(ctx, input));
    const rows = await ctx.db
      .selectFrom('ledger_transactions as t')
      .innerJoin('ledger_entries as e', 'e.transaction_id', 't.id')
      .select(['t.id', 't.kind', 't.memo', 't.booked_at_ms', 't.created_at_ms', 'e.amount_micros'])
      .where('t.tenant_id', '=', tenantId)
      .where('e.account', '=', 'wallet')
      .$call(newestFirst(input, 't.created_at_ms', 't.id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    const items = page.rows.map((row) => ({
      transactionId: row.id,
      kind: row.kind,
      memo: row.memo,
      amount: money(row.amount_micros, currency),
      bookedAtMs: row.booked_at_ms,
      createdAtMs: row.created_at_ms,
    }));
    return { items, nextCursor: page.nextCursor };
  },
});
