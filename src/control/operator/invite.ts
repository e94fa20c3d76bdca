import { z } from 'zod';
import { makeInvitation } from '../invitation/make.ts';
import { ExpiresInHours, Invitation, Secret } from '../invitation/schemas.ts';
import { Email } from '../member/schemas.ts';
import { Name } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

export const operatorInvite = defineVerb({
  name: 'operator.invite',
  summary: 'Invite a person to run the platform. The answer shows the invitation this once; a new one replaces it.',
  access: 'operate',
  route: { method: 'POST', path: '/operators/invite' },
  input: z.strictObject({ email: Email, name: Name.optional(), expiresInHours: ExpiresInHours }),
  output: Invitation.extend({ invitation: Secret }),
  once: ['invitation'],
  async run({ ctx, input }) {
    return ctx.transaction((trx) =>
      makeInvitation(trx, ctx, { ...input, tenantId: null, role: 'operator', verb: 'operator.invite' }),
    );
  },
});
