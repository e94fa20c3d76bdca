import { z } from 'zod';
import { requireTenant, scopeOf } from '../internal.ts';
import { preferencesOf } from '../notice/preferences.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { requireChannel } from './schemas.ts';
import { targetOfRow } from './target.ts';

export const channelTest = defineVerb({
  name: 'channel.test',
  summary: 'Send a test notice now, once, and say what became of it.',
  access: 'manage_notices',
  route: { method: 'POST', path: '/channels/{channelId}/test' },
  input: z.strictObject({ channelId: Id }),
  output: z.object({ channelId: Id, ok: z.boolean(), failure: z.string().nullable() }),
  async run({ ctx, input }) {
    const channel = await requireChannel(ctx.db, scopeOf(ctx), input.channelId);
    const tenant = await requireTenant(ctx.db, channel.tenant_id);
    const { language } = await preferencesOf(ctx.db, tenant.id);
    const nowMs = ctx.now();
    const message = {
      id: ctx.newId('notice'),
      tenantId: tenant.id,
      kind: 'test' as const,
      subject: channel.id,
      dueAtMs: nowMs,
      detail: {},
      language,
      zone: tenant.zone,
    };
    const { signal } = new AbortController();
    const sent = await ctx.sender.send(targetOfRow(channel, nowMs), message, { nowMs, signal });
    return { channelId: channel.id, ok: sent.ok, failure: sent.ok ? null : sent.failure };
  },
});
