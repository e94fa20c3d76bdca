import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { notFound, scopeOf } from '../internal.ts';
import { requireCover } from '../permission.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Key, keyView } from './schemas.ts';

export const keyRevoke = defineVerb({
  name: 'key.revoke',
  summary: 'Revoke an API key whose role is not above yours, at once and for ever. A revoked one stays as it is.',
  access: 'manage_keys',
  route: { method: 'POST', path: '/keys/{keyId}/revoke' },
  input: z.strictObject({ keyId: Id }),
  output: Key,
  async run({ ctx, input }) {
    const scope = scopeOf(ctx);
    const answer = await ctx.transaction(async (trx) => {
      const before = await trx
        .selectFrom('api_keys')
        .selectAll()
        .where('id', '=', input.keyId)
        .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
        .executeTakeFirst();
      if (before === undefined) throw notFound('key', input.keyId);
      requireCover(ctx.actor, before.role);
      const revoked = await trx
        .updateTable('api_keys')
        .set({ revoked_at_ms: ctx.now() })
        .where('id', '=', before.id)
        .where('revoked_at_ms', 'is', null)
        .returningAll()
        .executeTakeFirst();
      if (revoked === undefined) return keyView(before);
      await audit(trx, ctx, { verb: 'key.revoke', subject: revoked.id, tenantId: revoked.tenant_id });
      return keyView(revoked);
    });
    ctx.changed();
    return answer;
  },
});
