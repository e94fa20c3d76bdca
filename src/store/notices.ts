import type { Transaction } from 'kysely';
import type { NoticeKind } from '../core/commerce/notice.ts';
import type { IdKind } from '../core/ids.ts';
import type { Database } from './schema.ts';

export interface Notice {
  readonly tenantId: string;
  readonly kind: NoticeKind;
  /** Id of what it is about. */
  readonly subject: string;
  /** When it was to be said, which is not always when it is written. */
  readonly dueAtMs: number;
  /** Plain data; `core/commerce/notice-text.ts` words it. */
  readonly detail: Readonly<Record<string, unknown>>;
}

interface By {
  now(): number;
  newId(kind: IdKind): string;
}

/**
 * Writes what a tenant is to be told, once for each kind, subject and due time, and puts it in the outbox for each of
 * the tenant's channels that takes the kind. Sending is `control/delivery`'s work, after the commit.
 */
export async function notify(trx: Transaction<Database>, by: By, notice: Notice): Promise<void> {
  const inserted = await trx
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
    .returning('id')
    .executeTakeFirst();
  if (inserted !== undefined) await post(trx, by, notice, inserted.id);
}

async function post(trx: Transaction<Database>, by: By, notice: Notice, noticeId: string): Promise<void> {
  const channels = await trx
    .selectFrom('channels')
    .select(['id', 'kinds_json'])
    .where('tenant_id', '=', notice.tenantId)
    .where('state', '=', 'active')
    .orderBy('id')
    .execute();
  const takers = channels.filter(({ kinds_json: kinds }) => kinds === null || takes(kinds, notice.kind));
  if (takers.length === 0) return;
  const nowMs = by.now();
  await trx
    .insertInto('deliveries')
    .values(
      takers.map(({ id }) => ({
        id: by.newId('delivery'),
        tenant_id: notice.tenantId,
        notice_id: noticeId,
        channel_id: id,
        state: 'pending' as const,
        attempts: 0,
        next_due_ms: nowMs,
        created_at_ms: nowMs,
      })),
    )
    .execute();
}

function takes(kindsJson: string, kind: NoticeKind): boolean {
  return (JSON.parse(kindsJson) as NoticeKind[]).includes(kind);
}
