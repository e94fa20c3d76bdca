import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { decide, requireApplication } from './application.ts';
import { Application, applicationView } from './schemas.ts';

export const applicationWithdraw = defineVerb({
  name: 'application.withdraw',
  summary: 'Take back what was applied for and is not decided yet.',
  access: 'buy',
  route: { method: 'POST', path: '/applications/{applicationId}/withdraw' },
  input: z.strictObject({ applicationId: Id }),
  output: Application,
  async run({ ctx, input }) {
    return ctx.transaction(async (trx) => {
      const before = await requireApplication(trx, scopeOf(ctx), input.applicationId);
      return applicationView(await decide(trx, ctx, before, { event: 'withdraw' }));
    });
  },
});
