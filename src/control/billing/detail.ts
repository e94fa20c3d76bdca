import type { Row } from '../../store/schema.ts';
import { type Db, notFound, requireTenant } from '../internal.ts';

export interface BillDetail {
  readonly bill: Row<'bills'>;
  readonly tenant: Row<'tenants'>;
  readonly lines: readonly LineDetail[];
  /** Of endpoints that are paid by the token. */
  readonly tokenLines: readonly TokenLineDetail[];
  /** Oldest first. */
  readonly corrections: readonly Row<'bill_corrections'>[];
}

export interface LineDetail extends Row<'bill_lines'> {
  readonly endpoint_id: string;
  readonly endpoint_name: string;
  /** Of the price books that priced its seconds, in order of time. */
  readonly priceVersions: readonly string[];
}

export interface TokenLineDetail extends Row<'token_lines'> {
  readonly endpoint_name: string;
}

/** A bill with everything that explains it. `scope`: the only tenant whose bills may be seen, or null. */
export async function billDetail(db: Db, scope: string | null, billId: string): Promise<BillDetail> {
  const bill = await requireBill(db, scope, billId);
  const lines = await db
    .selectFrom('bill_lines')
    .innerJoin('instance_groups', 'instance_groups.id', 'bill_lines.group_id')
    .innerJoin('endpoints', 'endpoints.id', 'instance_groups.endpoint_id')
    .where('bill_id', '=', bill.id)
    .selectAll('bill_lines')
    .select(['endpoints.id as endpoint_id', 'endpoints.name as endpoint_name'])
    .orderBy('bill_lines.id')
    .execute();
  return {
    bill,
    tenant: await requireTenant(db, bill.tenant_id),
    lines: lines.map((line) => ({ ...line, priceVersions: line.price_versions?.split(' ') ?? [] })),
    tokenLines: await tokenLinesOf(db, bill.id),
    corrections: await correctionsOf(db, bill.id),
  };
}

function tokenLinesOf(db: Db, billId: string): Promise<TokenLineDetail[]> {
  return db
    .selectFrom('token_lines')
    .innerJoin('endpoints', 'endpoints.id', 'token_lines.endpoint_id')
    .where('bill_id', '=', billId)
    .selectAll('token_lines')
    .select('endpoints.name as endpoint_name')
    .orderBy('token_lines.id')
    .execute();
}

export async function requireBill(db: Db, scope: string | null, billId: string): Promise<Row<'bills'>> {
  const bill = await db
    .selectFrom('bills')
    .selectAll()
    .where('id', '=', billId)
    .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
    .executeTakeFirst();
  if (bill === undefined) throw notFound('bill', billId);
  return bill;
}

export function correctionsOf(db: Db, billId: string): Promise<Row<'bill_corrections'>[]> {
  return db.selectFrom('bill_corrections').selectAll().where('bill_id', '=', billId).orderBy('id').execute();
}
