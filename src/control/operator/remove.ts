import { z } from 'zod';
import { notFound } from '../internal.ts';
import { endMembership } from '../member/member.ts';
import { Operator, operatorView, selectMembers } from '../member/schemas.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

export const operatorRemove = defineVerb({
  name: 'operator.remove',
  summary: 'Remove an operator. Their tokens stop at once.',
  access: 'operate',
  route: { method: 'DELETE', path: '/operators/{memberId}' },
  input: z.strictObject({ memberId: Id }),
  output: Operator,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const operator = await selectMembers(trx)
        .where('memberships.id', '=', input.memberId)
        .where('tenant_id', 'is', null)
        .where('removed_at_ms', 'is', null)
        .executeTakeFirst();
      if (operator === undefined) throw notFound('operator', input.memberId);
      return operatorView(await endMembership(trx, ctx, operator, 'operator.remove'));
    });
  },
});
