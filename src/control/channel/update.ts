import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { webhookSecret } from '../delivery/webhook.ts';
import { invalidField } from '../input.ts';
import { scopeOf } from '../internal.ts';
import { Id, Name } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { checkUrl, SECRET_BYTES } from './create.ts';
import { Channel, cancelDeliveries, channelView, Kinds, Recipients, requireChannel, Secret, Url } from './schemas.ts';

/** For so long messages are signed with the secret before a new one as well, so that receivers can follow. */
const PREVIOUS_SECRET_MS = 86_400_000;

const input = z.strictObject({
  channelId: Id,
  name: Name.optional(),
  state: z.enum(['active', 'paused']).optional().describe('paused: what waits for it is cancelled'),
  webhookUrl: Url.optional(),
  recipients: Recipients.optional(),
  kinds: Kinds.optional(),
  allKinds: z.boolean().optional().describe('Take notices of every kind again'),
  rotateSecret: z.boolean().optional().describe('Webhook: a new secret; for 24 hours the old one signs as well'),
});

export const channelUpdate = defineVerb({
  name: 'channel.update',
  summary: 'Change where notices are sent and which, pause a channel, or give a webhook a new secret.',
  access: 'manage_notices',
  route: { method: 'POST', path: '/channels/{channelId}' },
  input,
  output: Channel.extend({ secret: Secret.describe('The new secret, shown this once; null when there is none') }),
  once: ['secret'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx);
    if (input.webhookUrl !== undefined) checkUrl(ctx, input.webhookUrl);
    if (input.kinds !== undefined && input.allKinds) throw invalidField('allKinds', 'contradicts kinds');
    const secret = input.rotateSecret ? webhookSecret(randomBytes(SECRET_BYTES)) : null;
    return ctx.transaction(async (trx) => {
      const before = await requireChannel(trx, scope, input.channelId);
      const changes = { ...changesOf(input, before), ...rotation(before, secret, ctx.now()) };
      const changed = Object.keys(changes);
      if (changed.length === 0) throw invalidField('channelId', 'say what to change');
      const row = await trx
        .updateTable('channels')
        .set(changes)
        .where('id', '=', before.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      if (row.state === 'paused') await cancelDeliveries(trx, row.id, ctx.now());
      const detail = { changed };
      await audit(trx, ctx, { verb: 'channel.update', subject: row.id, tenantId: row.tenant_id, detail });
      return { ...channelView(row), secret };
    });
  },
});

function changesOf(wanted: z.output<typeof input>, before: Row<'channels'>): Partial<Row<'channels'>> {
  const { name, state, webhookUrl: url, recipients, kinds, allKinds } = wanted;
  if (url !== undefined && before.kind !== 'webhook') throw invalidField('webhookUrl', 'this channel is for e-mail');
  if (recipients !== undefined && before.kind !== 'email')
    throw invalidField('recipients', 'this channel is a webhook');
  return {
    ...(name === undefined ? {} : { name }),
    ...(state === undefined ? {} : { state }),
    ...(url === undefined ? {} : { url }),
    ...(recipients === undefined ? {} : { recipients_json: JSON.stringify(recipients) }),
    ...(kinds === undefined ? {} : { kinds_json: JSON.stringify(kinds) }),
    ...(allKinds ? { kinds_json: null } : {}),
  };
}

function rotation(before: Row<'channels'>, secret: string | null, nowMs: number): Partial<Row<'channels'>> {
  if (secret === null) return {};
  if (before.kind !== 'webhook') throw invalidField('rotateSecret', 'e-mail has no secret');
  return { secret, previous_secret: before.secret, previous_until_ms: nowMs + PREVIOUS_SECRET_MS };
}
