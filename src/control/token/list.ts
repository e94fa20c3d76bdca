import { z } from 'zod';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { defineVerb } from '../verb.ts';
import { tokenOwner } from './owner.ts';
import { Token, TokenOwner, tokenView } from './schemas.ts';

export const tokenList = defineVerb({
  name: 'token.list',
  summary: 'Your tokens, newest first, revoked ones included; another’s when you manage them.',
  access: 'view',
  route: { method: 'GET', path: '/tokens' },
  input: z.strictObject({ memberId: TokenOwner, ...PageInput }),
  output: pageOf(Token),
  columns: ['tokenId', 'hint', 'expiresAtMs', 'revokedAtMs', 'name'],
  async run({ ctx, input }) {
    const owner = await tokenOwner(ctx.db, ctx, input.memberId);
    const rows = await ctx.db
      .selectFrom('access_tokens')
      .selectAll()
      .where('member_id', '=', owner.id)
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(tokenView), nextCursor: page.nextCursor };
  },
});
