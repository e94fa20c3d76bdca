import type { Transaction } from 'kysely';
import type { IdKind } from '../core/ids.ts';
import type { Database, Row } from './schema.ts';

export interface Notice {
  readonly tenantId: string;
  readonly kind: Row<'notices'>['kind'];
  /** Id of what it is about. */
  readonly subject: string;
  /** When it was to be said, which is not always when it is written. */
  readonly dueAtMs: number;
  /** Plain data for whoever words it. */
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Writes what a tenant is to be told, once for each kind, subject and due time. Delivering it is others' work. */
export async function notify(
  trx: Transaction<Database>,
  by: { now(): number; newId(kind: IdKind): string },
  notice: Notice,
): Promise<void> {
  await trx
    .insertInto('notices')
    .values({
      id: by.newId('notice'),
      tenant_id: notice.tenantId,
      kind: notice.kind,
      subject: notice.subject,
      due_at_ms: notice.dueAtMs,
      detail_json: JSON.stringify(notice.detail),
      created_at_ms: by.now(),
    })
    .onConflict((conflict) => conflict.columns(['kind', 'subject', 'due_at_ms']).doNothing())
    .execute();
}
