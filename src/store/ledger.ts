import { type Kysely, sql, type Transaction } from 'kysely';
import { assertBalanced, type Entry, type Posting } from '../core/commerce/ledger.ts';
import { CubitError } from '../core/errors.ts';
import type { IdKind } from '../core/ids.ts';
import type { Database } from './schema.ts';

export interface Posted {
  readonly transactionId: string;
  /** False when the same posting was there already. */
  readonly created: boolean;
}

interface By {
  now(): number;
  newId(kind: IdKind): string;
}

/**
 * Writes a posting, once: under a key that is there already the same posting (tenant, kind and entries) is found again,
 * any other is an `idempotency_conflict`.
 */
export async function post(trx: Transaction<Database>, by: By, posting: Posting): Promise<Posted> {
  const [posted] = await postAll(trx, by, [posting]);
  return posted!;
}

/** The same for several at once, one at least and at most a few thousand, each under a key of its own; in their order. */
export async function postAll(
  trx: Transaction<Database>,
  by: By,
  postings: readonly Posting[],
): Promise<readonly Posted[]> {
  for (const posting of postings) assertBalanced(posting.entries);
  const rows = postings.map((posting) => ({
    id: by.newId('transaction'),
    tenant_id: posting.tenantId,
    kind: posting.kind,
    idempotency_key: posting.idempotencyKey,
    memo: posting.memo,
    booked_at_ms: posting.bookedAtMs,
    created_at_ms: by.now(),
  }));
  const inserted = await trx
    .insertInto('ledger_transactions')
    .values(rows)
    .onConflict((conflict) => conflict.column('idempotency_key').doNothing())
    .returning(['id', 'idempotency_key'])
    .execute();
  const ids = new Map(inserted.map((row) => [row.idempotency_key, row.id]));
  const entries = postings.flatMap((posting) => entryRows(ids.get(posting.idempotencyKey), posting));
  if (entries.length > 0) await trx.insertInto('ledger_entries').values(entries).execute();
  const posted: Posted[] = [];
  for (const posting of postings) {
    const id = ids.get(posting.idempotencyKey);
    posted.push({ transactionId: id ?? (await existing(trx, posting)), created: id !== undefined });
  }
  return posted;
}

function entryRows(transactionId: string | undefined, posting: Posting) {
  if (transactionId === undefined) return [];
  return posting.entries.map((entry) => ({
    transaction_id: transactionId,
    tenant_id: posting.tenantId,
    account: entry.account,
    amount_micros: entry.amountMicros,
  }));
}

async function existing(trx: Transaction<Database>, posting: Posting): Promise<string> {
  const found = await trx
    .selectFrom('ledger_transactions')
    .select(['id', 'tenant_id', 'kind'])
    .where('idempotency_key', '=', posting.idempotencyKey)
    .executeTakeFirstOrThrow();
  const rows = await trx
    .selectFrom('ledger_entries')
    .select(['account', 'amount_micros'])
    .where('transaction_id', '=', found.id)
    .execute();
  const entries = rows.map((row) => ({ account: row.account, amountMicros: row.amount_micros }));
  const same = found.tenant_id === posting.tenantId && found.kind === posting.kind;
  if (same && textOf(entries) === textOf(posting.entries)) return found.id;
  throw new CubitError('idempotency_conflict', 'This idempotency key was used for another posting. Send a new one.', {
    details: { transactionId: found.id },
  });
}

function textOf(entries: readonly { account: string; amountMicros: Entry['amountMicros'] }[]): string {
  return entries
    .map((entry) => `${entry.account} ${entry.amountMicros}`)
    .toSorted()
    .join('\n');
}

/** What a tenant has in its wallet: the sum of the wallet's entries. */
export async function balanceMicros(db: Kysely<Database>, tenantId: string): Promise<bigint> {
  const { balance_micros } = await db
    .selectFrom('ledger_entries')
    .select(sql<bigint>`cast(coalesce(sum(amount_micros), 0) as bigint)`.as('balance_micros'))
    .where('tenant_id', '=', tenantId)
    .where('account', '=', 'wallet')
    .executeTakeFirstOrThrow();
  return balance_micros;
}

/** Which of these tenants have less than nothing in their wallets. */
export async function overdrawnOf(db: Kysely<Database>, tenantIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('ledger_entries')
    .select('tenant_id')
    .where('tenant_id', 'in', tenantIds)
    .where('account', '=', 'wallet')
    .groupBy('tenant_id')
    .having((eb) => eb(eb.fn.sum('amount_micros'), '<', 0n))
    .execute();
  return new Set(rows.map((row) => row.tenant_id));
}

const PROBLEMS_MAX = 100;

export interface LedgerReport {
  readonly balanced: boolean;
  readonly transactions: number;
  /** For people; at most 100 of each kind. */
  readonly problems: readonly string[];
}

/**
 * Recomputes everything that has to agree (invariants 2 and 3): the entries of every transaction sum to zero, every
 * bill is the sum of its lines and what its transaction took from the wallet, and what a tenant has paid ahead is what
 * its open lots have not earned. Reads the whole ledger.
 */
export async function checkLedger(db: Kysely<Database>): Promise<LedgerReport> {
  const { transactions } = await db
    .selectFrom('ledger_transactions')
    .select((eb) => eb.fn.countAll<number>().as('transactions'))
    .executeTakeFirstOrThrow();
  const problems = [...(await unbalancedTransactions(db)), ...(await unequalBills(db)), ...(await unequalUnearned(db))];
  return { balanced: problems.length === 0, transactions, problems };
}

async function unbalancedTransactions(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ id: string; entries: number; sum_micros: bigint }>`
    select t.id, count(e.id) as entries, cast(coalesce(sum(e.amount_micros), 0) as bigint) as sum_micros
    from ledger_transactions t left join ledger_entries e on e.transaction_id = t.id and e.tenant_id = t.tenant_id
    group by t.id having count(e.id) < 2 or coalesce(sum(e.amount_micros), 0) <> 0
    limit ${PROBLEMS_MAX}`.execute(db);
  return rows.map((row) => `${row.id}: ${row.entries} entries sum to ${row.sum_micros} micros, not to 0`);
}

async function unequalBills(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ id: string; amount_micros: bigint; lines_micros: bigint; charged_micros: bigint }>`
    select * from (
      select b.id, b.amount_micros,
        (select cast(coalesce(sum(l.amount_micros), 0) as bigint) from bill_lines l where l.bill_id = b.id)
        + (select cast(coalesce(sum(l.amount_micros), 0) as bigint) from token_lines l where l.bill_id = b.id) as lines_micros,
        (select cast(coalesce(-sum(e.amount_micros), 0) as bigint) from ledger_entries e
          where e.transaction_id = b.transaction_id and e.account = 'wallet') as charged_micros
      from bills b) as sums
    where amount_micros <> lines_micros or amount_micros <> charged_micros
    limit ${PROBLEMS_MAX}`.execute(db);
  return rows.map(
    (row) => `${row.id}: ${row.amount_micros} micros, lines ${row.lines_micros}, charged ${row.charged_micros}`,
  );
}

async function unequalUnearned(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ id: string; unearned_micros: bigint; lots_micros: bigint }>`
    select * from (
      select t.id,
        (select cast(coalesce(sum(e.amount_micros), 0) as bigint) from ledger_entries e
          where e.tenant_id = t.id and e.account = 'unearned') as unearned_micros,
        (select cast(coalesce(sum(l.paid_micros), 0) as bigint) from prepaid_lots l
          where l.tenant_id = t.id and not exists (select 1 from lot_closings c where c.lot_id = l.id))
        - (select cast(coalesce(sum(r.amount_micros), 0) as bigint) from recognition_lines r
          join prepaid_lots l on l.id = r.lot_id
          where l.tenant_id = t.id and not exists (select 1 from lot_closings c where c.lot_id = l.id)) as lots_micros
      from tenants t) as sums
    where unearned_micros <> lots_micros
    limit ${PROBLEMS_MAX}`.execute(db);
  return rows.map((row) => `${row.id}: ${row.unearned_micros} micros unearned, its lots say ${row.lots_micros}`);
}
