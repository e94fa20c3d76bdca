import { type Kysely, sql } from 'kysely';

/**
 * What a charge costs must not grow with a tenant's history: every ledger entry says its account's balance after it, and
 * a group's billed totals are kept in one place. Both are derived; `checkLedger` proves them. And notes that correct
 * lines of bills. `store/schema.ts` has the words.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('ledger_entries')
    .addColumn('balance_micros', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  await sql`
    update ledger_entries set balance_micros = sums.balance_micros
    from (select id, cast(sum(amount_micros) over (partition by tenant_id, account order by id) as bigint) as balance_micros
          from ledger_entries) as sums
    where sums.id = ledger_entries.id`.execute(db);
  // Nothing is added up along this index any more: the last entry says it.
  await db.schema.dropIndex('ledger_entries_tenant_id_account_id_amount_micros').execute();
  await db.schema
    .createIndex('ledger_entries_tenant_id_account_id')
    .on('ledger_entries')
    .columns(['tenant_id', 'account', 'id'])
    .execute();

  await db.schema
    .createTable('billed_totals')
    .addColumn('group_id', 'text', (column) => column.primaryKey().references('instance_groups.id'))
    .addColumn('unit_seconds', 'bigint', (column) => column.notNull())
    .addColumn('amount_micros', 'bigint', (column) => column.notNull())
    .execute();
  await sql`
    insert into billed_totals (group_id, unit_seconds, amount_micros)
    select group_id, unit_seconds_total, amount_total_micros from bill_lines
    where id in (select max(id) from bill_lines group by group_id)`.execute(db);
  // With a page for each group, every line would be written to a page of its own.
  await db.schema.dropIndex('bill_lines_group_id_id').execute();

  await db.schema
    .createTable('bill_corrections')
    .addColumn('id', 'text', (column) => column.notNull().primaryKey())
    .addColumn('tenant_id', 'text', (column) => column.notNull().references('tenants.id'))
    .addColumn('bill_id', 'text', (column) => column.notNull().references('bills.id'))
    .addColumn('group_id', 'text', (column) => column.notNull().references('instance_groups.id'))
    .addColumn('amount_micros', 'bigint', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('issued_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('transaction_id', 'text', (column) => column.notNull().references('ledger_transactions.id'))
    .execute();
  for (const columns of [
    ['bill_id', 'id'],
    ['tenant_id', 'issued_at_ms'],
  ]) {
    const name = `bill_corrections_${columns.join('_')}`;
    await db.schema.createIndex(name).on('bill_corrections').columns(columns).execute();
  }
}
