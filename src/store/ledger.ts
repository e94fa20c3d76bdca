import { type Kysely, sql, type Transaction } from 'kysely';
import { assertBalanced, type Entry, type Posting } from '../core/commerce/ledger.ts';
import { CubitError } from '../core/errors.ts';
import type { IdKind } from '../core/ids.ts';
import { insertAll } from './bulk.ts';
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
  const inserted = await insertAll(
    trx,
    'ledger_transactions',
    rows,
    sql`on conflict (idempotency_key) do nothing returning id, idempotency_key`,
  );
  const ids = new Map(inserted.map((row) => [row['idempotency_key'], row['id'] as string]));
  await insertEntries(trx, ids, postings);
  const posted: Posted[] = [];
  for (const posting of postings) {
    const id = ids.get(posting.idempotencyKey);
    posted.push({ transactionId: id ?? (await existing(trx, posting)), created: id !== undefined });
  }
  return posted;
}

/** Entries of the postings that are new, each with its account's balance after it. */
async function insertEntries(
  trx: Transaction<Database>,
  ids: ReadonlyMap<unknown, string>,
  postings: readonly Posting[],
): Promise<void> {
  const created = postings.filter((posting) => ids.has(posting.idempotencyKey));
  const accounts = new Set(created.flatMap((posting) => posting.entries.map((entry) => entry.account)));
  const balances = await balancesOf(trx, [...new Set(created.map((posting) => posting.tenantId))], accounts);
  const rows = created.flatMap(({ idempotencyKey, tenantId, entries }) =>
    entries.map(({ account, amountMicros }) => {
      const key = `${tenantId} ${account}`;
      const balance = (balances.get(key) ?? 0n) + amountMicros;
      balances.set(key, balance);
      const transaction_id = ids.get(idempotencyKey)!;
      return { transaction_id, tenant_id: tenantId, account, amount_micros: amountMicros, balance_micros: balance };
    }),
  );
  await insertAll(trx, 'ledger_entries', rows);
}

/** Balances by `tenant account`: an account's last entry says its own, found by one look-up in an index. */
async function balancesOf(
  db: Kysely<Database>,
  tenantIds: readonly string[],
  accounts: Iterable<string>,
): Promise<Map<string, bigint>> {
  const balances = new Map<string, bigint>();
  for (const account of tenantIds.length === 0 ? [] : accounts) {
    const rows = await db
      .selectFrom('tenants')
      .where('tenants.id', 'in', tenantIds)
      .select((eb) => [
        'tenants.id',
        eb
          .selectFrom('ledger_entries')
          .whereRef('ledger_entries.tenant_id', '=', 'tenants.id')
          .where('account', '=', account)
          .orderBy('ledger_entries.id', 'desc')
          .limit(1)
          .select('balance_micros')
          .as('balance_micros'),
      ])
      .execute();
    for (const row of rows) balances.set(`${row.id} ${account}`, row.balance_micros ?? 0n);
  }
  return balances;
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

/** What a tenant has in its wallet: the sum of the wallet's entries, as the last of them says it. */
export async function balanceMicros(db: Kysely<Database>, tenantId: string): Promise<bigint> {
  return (await balancesOf(db, [tenantId], ['wallet'])).get(`${tenantId} wallet`) ?? 0n;
}

/** Which of these tenants have less than nothing in their wallets. */
export async function overdrawnOf(db: Kysely<Database>, tenantIds: readonly string[]): Promise<ReadonlySet<string>> {
  const balances = await balancesOf(db, tenantIds, ['wallet']);
  return new Set(tenantIds.filter((tenantId) => (balances.get(`${tenantId} wallet`) ?? 0n) < 0n));
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
 * balance is the sum of the entries up to it, every bill is the sum of its lines and what its transaction took from the
 * wallet, a group's billed totals are the sums of its lines, and what a tenant has paid ahead is what its open lots have
 * not earned. Reads the whole ledger.
 */
export async function checkLedger(db: Kysely<Database>): Promise<LedgerReport> {
  const { transactions } = await db
    .selectFrom('ledger_transactions')
    .select((eb) => eb.fn.countAll<number>().as('transactions'))
    .executeTakeFirstOrThrow();
  const problems = [
    ...(await unbalancedTransactions(db)),
    ...(await wrongBalances(db)),
    ...(await unequalBills(db)),
    ...(await wrongTotals(db)),
    ...(await unequalCorrections(db)),
    ...(await unequalUnearned(db)),
  ];
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

async function wrongBalances(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ id: number; tenant_id: string; balance_micros: bigint; sum_micros: bigint }>`
    select * from (
      select id, tenant_id, balance_micros,
        cast(sum(amount_micros) over (partition by tenant_id, account order by id) as bigint) as sum_micros
      from ledger_entries) as sums
    where balance_micros <> sum_micros
    limit ${PROBLEMS_MAX}`.execute(db);
  return rows.map((row) => `${row.tenant_id}, entry ${row.id}: balance ${row.balance_micros}, not ${row.sum_micros}`);
}

/** The totals on a group's last line and those kept beside it, against its lines. */
async function wrongTotals(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ group_id: string }>`
    select sums.group_id from (
      select group_id, sum(unit_seconds) as unit_seconds, sum(amount_micros) as amount_micros,
        max(unit_seconds_total) as unit_seconds_total, max(amount_total_micros) as amount_total_micros
      from bill_lines group by group_id) as sums
    left join billed_totals t on t.group_id = sums.group_id
    where t.group_id is null or t.unit_seconds <> sums.unit_seconds or t.amount_micros <> sums.amount_micros
      or sums.unit_seconds_total <> sums.unit_seconds or sums.amount_total_micros <> sums.amount_micros
    limit ${PROBLEMS_MAX}`.execute(db);
  return rows.map((row) => `${row.group_id}: its billed totals are not the sums of its lines`);
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

async function unequalCorrections(db: Kysely<Database>): Promise<string[]> {
  const { rows } = await sql<{ id: string; amount_micros: bigint; charged_micros: bigint }>`
    select * from (
      select c.id, c.amount_micros,
        (select cast(coalesce(-sum(e.amount_micros), 0) as bigint) from ledger_entries e
          where e.transaction_id = c.transaction_id and e.account = 'wallet') as charged_micros
      from bill_corrections c) as sums
    where amount_micros <> charged_micros
    limit ${PROBLEMS_MAX}`.execute(db);
  return rows.map((row) => `${row.id}: ${row.amount_micros} micros, charged ${row.charged_micros}`);
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
