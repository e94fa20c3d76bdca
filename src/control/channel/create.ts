import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { webhookSecret } from '../delivery/webhook.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { Name, TenantId } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx, tenantOf } from '../verb.ts';
import { Channel, channelView, Kinds, Recipients, Secret, Url } from './schemas.ts';

const CHANNELS_MAX = 20;
export const SECRET_BYTES = 32;

export const channelCreate = defineVerb({
  name: 'channel.create',
  summary: 'Have notices sent to a webhook (webhookUrl) or by e-mail (recipients).',
  access: 'manage_notices',
  route: { method: 'POST', path: '/channels' },
  input: z.strictObject({
    tenantId: TenantId,
    name: Name,
    webhookUrl: Url.optional(),
    recipients: Recipients.optional(),
    kinds: Kinds.optional(),
  }),
  output: Channel.extend({ secret: Secret }),
  once: ['secret'],
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    checkTarget(ctx, input);
    const secret = input.webhookUrl === undefined ? null : webhookSecret(randomBytes(SECRET_BYTES));
    return ctx.transaction(async (trx) => {
      await requireTenant(trx, tenantId);
      await checkRoom(trx, tenantId);
      const row = {
        id: ctx.newId('channel'),
        tenant_id: tenantId,
        kind: input.webhookUrl === undefined ? ('email' as const) : ('webhook' as const),
        name: input.name,
        state: 'active' as const,
        url: input.webhookUrl ?? null,
        secret,
        previous_secret: null,
        previous_until_ms: null,
        recipients_json: input.recipients === undefined ? null : JSON.stringify(input.recipients),
        kinds_json: input.kinds === undefined ? null : JSON.stringify(input.kinds),
        created_at_ms: ctx.now(),
      };
      await trx.insertInto('channels').values(row).execute();
      // A URL may have a secret in its path: the audit names the channel.
      const detail = { kind: row.kind, name: row.name };
      await audit(trx, ctx, { verb: 'channel.create', subject: row.id, tenantId, detail });
      return { ...channelView(row), secret };
    });
  },
});

/** Throws `invalid_request` unless it is one way to be reached, and one that this installation has. */
function checkTarget(
  ctx: Ctx,
  input: { webhookUrl?: string | undefined; recipients?: readonly string[] | undefined },
): void {
  if ((input.webhookUrl === undefined) === (input.recipients === undefined)) {
    throw invalidField('webhookUrl', 'say either webhookUrl or recipients');
  }
  if (input.webhookUrl !== undefined) checkUrl(ctx, input.webhookUrl);
  if (input.recipients !== undefined && !ctx.sender.offersEmail) {
    throw invalidField('recipients', 'this installation sends no e-mail: its operator has to set smtpUrl and smtpFrom');
  }
}

/** Throws `invalid_request`. */
export function checkUrl(ctx: Ctx, url: string): void {
  try {
    ctx.sender.checkUrl(url);
  } catch (error) {
    throw error instanceof CubitError ? invalidField('webhookUrl', error.message) : error;
  }
}

async function checkRoom(trx: Trx, tenantId: string): Promise<void> {
  const { n } = await trx
    .selectFrom('channels')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .where('tenant_id', '=', tenantId)
    .where('state', '!=', 'removed')
    .executeTakeFirstOrThrow();
  if (n >= CHANNELS_MAX) {
    throw new CubitError('conflict', `A tenant has at most ${CHANNELS_MAX} channels; remove one first.`);
  }
}
