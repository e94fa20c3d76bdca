import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { notFound } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { tokenOwner } from './owner.ts';
import { Token, tokenView } from './schemas.ts';

export const tokenRevoke = defineVerb({
  name: 'token.revoke',
  summary: 'Revoke a token of yours, or of a member whom you manage, at once and for ever.',
  access: 'view',
  route: { method: 'POST', path: '/tokens/{tokenId}/revoke' },
  input: z.strictObject({ tokenId: Id }),
  output: Token,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const token = await trx
        .selectFrom('access_tokens')
        .selectAll()
        .where('id', '=', input.tokenId)
        .executeTakeFirst();
      if (token === undefined) throw notFound('token', input.tokenId);
      const owner = await tokenOwner(trx, ctx, token.member_id).catch((error: unknown) => {
        // Whose it is, strangers are not told.
        const isHidden = error instanceof CubitError && error.code === 'not_found';
        throw isHidden ? notFound('token', input.tokenId) : error;
      });
      const revoked = await trx
        .updateTable('access_tokens')
        .set({ revoked_at_ms: ctx.now() })
        .where('id', '=', token.id)
        .where('revoked_at_ms', 'is', null)
        .returningAll()
        .executeTakeFirst();
      if (revoked === undefined) return tokenView(token);
      await audit(trx, ctx, { verb: 'token.revoke', subject: token.id, tenantId: owner.tenant_id });
      return tokenView(revoked);
    });
  },
});
