import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { Name } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { makeToken } from './make.ts';
import { ownMemberId, tokenOwner } from './owner.ts';
import { ExpiresInDays, Token } from './schemas.ts';

export const tokenCreate = defineVerb({
  name: 'token.create',
  summary:
    'Make a token of your own for the control API and CLI. The answer shows it this once; only its hash is stored.',
  access: 'view',
  route: { method: 'POST', path: '/tokens' },
  input: z.strictObject({ name: Name, expiresInDays: ExpiresInDays }),
  output: Token.extend({
    secret: z.string().nullable().describe('The token itself; null when the answer is a replay'),
  }),
  once: ['secret'],
  async run({ ctx, input }) {
    const memberId = ownMemberId(ctx.actor);
    if (memberId === null) {
      throw new CubitError('conflict', 'Tokens belong to people. Sign in as a member; for programs make an API key.');
    }
    return ctx.transaction(async (trx) => {
      const owner = await tokenOwner(trx, ctx, memberId);
      const { token, secret } = await makeToken(trx, ctx, { memberId, name: input.name, days: input.expiresInDays });
      const detail = { name: token.name, hint: token.hint };
      await audit(trx, ctx, { verb: 'token.create', subject: token.tokenId, tenantId: owner.tenant_id, detail });
      return { ...token, secret };
    });
  },
});
