import { CubitError } from '../../core/errors.ts';
import type { Row } from '../../store/schema.ts';
import type { Message, Target } from '../delivery/message.ts';
import type { Db } from '../internal.ts';

/** Where a channel's messages go now. Throws when it is gone. */
export async function targetOf(db: Db, channelId: string, nowMs: number): Promise<Target> {
  const channel = await db.selectFrom('channels').selectAll().where('id', '=', channelId).executeTakeFirstOrThrow();
  return targetOfRow(channel, nowMs);
}

export function targetOfRow(channel: Row<'channels'>, nowMs: number): Target {
  if (channel.kind === 'email') {
    return { kind: 'email', recipients: JSON.parse(channel.recipients_json ?? '[]') as string[] };
  }
  const { url, secret, previous_secret: previous, previous_until_ms: untilMs } = channel;
  if (url === null || secret === null) throw new CubitError('internal', `channel ${channel.id} has no URL`);
  const secrets = previous !== null && untilMs !== null && nowMs < untilMs ? [secret, previous] : [secret];
  return { kind: 'webhook', url, secrets };
}

/** A notice as it is sent: in the tenant's language and zone. */
export async function messageOf(db: Db, noticeId: string): Promise<Message> {
  const row = await db
    .selectFrom('notices')
    .innerJoin('tenants', 'tenants.id', 'notices.tenant_id')
    .leftJoin('notice_preferences', 'notice_preferences.tenant_id', 'notices.tenant_id')
    .where('notices.id', '=', noticeId)
    .select(['notices.id', 'notices.tenant_id', 'kind', 'subject', 'due_at_ms', 'detail_json', 'zone', 'language'])
    .executeTakeFirstOrThrow();
  return {
    id: row.id,
    tenantId: row.tenant_id,
    kind: row.kind,
    subject: row.subject,
    dueAtMs: row.due_at_ms,
    detail: JSON.parse(row.detail_json) as Record<string, unknown>,
    language: row.language ?? 'en',
    zone: row.zone,
  };
}
