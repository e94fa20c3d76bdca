import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { notFound, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Key, keyView } from './schemas.ts';

export const keyRevoke = defineVerb({
  name: 'key.revoke',
  summary: 'Revoke an API key, at once and for ever. One that is revoked stays as it is.',
  access: 'manage',
  route: { method: 'POST', path: '/keys/{keyId}/revoke' },
  input: z.strictObject({ keyId: Id }),
  output: Key,
  async run({ ctx, input }) {
    const scope = scopeOf(ctx);
    const answer = await ctx.transaction(async (trx) => {
      const revoked = await trx
        .updateTable('api_keys')
        .set({ revoked_at_ms: ctx.now() })
        .where('id', '=', input.keyId)
        .where('revoked_at_ms', 'is', null)
        .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
        .returningAll()
        .executeTakeFirst();
      if (revoked !== undefined) {
        await audit(trx, ctx, { verb: 'key.revoke', subject: revoked.id, tenantId: revoked.tenant_id });
        return keyView(revoked);
      }
      const before = await trx
        .selectFrom('api_keys')
        .selectAll()
        .where('id', '=', input.keyId)
        .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
        .executeTakeFirst();
      if (before === undefined) throw notFound('key', input.keyId);
      return keyView(before);
    });
    ctx.changed();
    return answer;
  },
});
