import { z } from 'zod';
import { NOTICE_KINDS } from '../../core/commerce/notice.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, notFound } from '../internal.ts';
import { EpochMs, Id } from '../schemas.ts';

export const Url = z.string().max(2000).describe('Webhook: an http or https URL on the public Internet');
export const Recipients = z.array(z.email().max(254)).min(1).max(20).describe('E-mail: who gets it');
export const Kinds = z
  .array(z.enum(NOTICE_KINDS))
  .min(1)
  .describe(`Only notices of these kinds: ${NOTICE_KINDS.join(', ')}`);

export const Channel = z.object({
  channelId: Id,
  tenantId: Id,
  kind: z.enum(['webhook', 'email']),
  name: z.string(),
  state: z.enum(['active', 'paused']),
  webhookUrl: z.string().nullable(),
  recipients: z.array(z.string()).nullable(),
  kinds: z.array(z.enum(NOTICE_KINDS)).nullable().describe('null: all'),
  createdAtMs: EpochMs,
});

export const Secret = z
  .string()
  .nullable()
  .describe('Webhook: what its messages are signed with. Shown this once; null when the answer is a replay');

export function channelView(row: Row<'channels'>): z.output<typeof Channel> {
  return {
    channelId: row.id,
    tenantId: row.tenant_id,
    kind: row.kind,
    name: row.name,
    state: row.state === 'paused' ? 'paused' : 'active',
    webhookUrl: row.url,
    recipients: row.recipients_json === null ? null : (JSON.parse(row.recipients_json) as string[]),
    kinds: row.kinds_json === null ? null : (JSON.parse(row.kinds_json) as z.output<typeof Kinds>),
    createdAtMs: row.created_at_ms,
  };
}

/** One that is not removed. Throws `not_found`. */
export async function requireChannel(db: Db, scope: string | null, channelId: string): Promise<Row<'channels'>> {
  const channel = await db
    .selectFrom('channels')
    .selectAll()
    .where('id', '=', channelId)
    .where('state', '!=', 'removed')
    .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
    .executeTakeFirst();
  if (channel === undefined) throw notFound('channel', channelId);
  return channel;
}

/** What waits for a channel that takes nothing any more. */
export async function cancelDeliveries(db: Db, channelId: string, nowMs: number): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({ state: 'cancelled', next_due_ms: null, ended_at_ms: nowMs })
    .where('channel_id', '=', channelId)
    .where('next_due_ms', 'is not', null)
    .execute();
}
