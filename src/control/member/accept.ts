import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { MEMBER_ROLES } from '../../core/roles.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import { refuseMember } from '../invitation/make.ts';
import { stateOf } from '../invitation/schemas.ts';
import { sha256Hex } from '../operator-token.ts';
import { Id, Name } from '../schemas.ts';
import { makeToken } from '../token/make.ts';
import { Token } from '../token/schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';

export const memberAccept = defineVerb({
  name: 'member.accept',
  summary: 'Take an invitation. The answer shows, this once, a token to sign in with.',
  access: 'anyone',
  route: { method: 'POST', path: '/members/accept' },
  input: z.strictObject({
    invitation: z.string().min(1).max(200).describe('As you were sent it: inv-cubit-…'),
    name: Name.optional().describe('What the others see; as you were invited when left out'),
  }),
  output: z.object({
    memberId: Id,
    tenantId: Id.nullable().describe('null: an operator'),
    email: z.string(),
    name: z.string(),
    role: z.enum([...MEMBER_ROLES, 'operator']),
    token: Token.extend({ secret: z.string() }).nullable().describe('null when the answer is a replay'),
  }),
  once: ['token'],
  async run({ ctx, input }) {
    const hash = sha256Hex(input.invitation);
    // Read first: guesses of strangers take no lock.
    await requireInvitation(ctx.db, hash);
    return ctx.transaction(async (trx) => {
      const invitation = await takeInvitation(trx, ctx, hash);
      const { tenant_id: tenantId, email, role } = invitation;
      await refuseMember(trx, tenantId, email);
      const name = input.name ?? invitation.name ?? email;
      const memberId = await addMember(trx, ctx, { ...invitation, name });
      const actor = { kind: role === 'operator' ? 'operator' : 'member', memberId } as const;
      const by = { ...ctx, actor };
      const detail = { email, role, invitationId: invitation.id };
      await audit(trx, by, { verb: 'member.accept', subject: memberId, tenantId, detail });
      const { token, secret } = await makeToken(trx, ctx, { memberId, name: 'invitation' });
      return { memberId, tenantId, email, name, role, token: { ...token, secret } };
    });
  },
});

/** Throws `not_found` for one that there never was. */
async function requireInvitation(db: Db, hash: string): Promise<Row<'invitations'>> {
  const row = await db.selectFrom('invitations').selectAll().where('hash', '=', hash).executeTakeFirst();
  if (row === undefined) throw new CubitError('not_found', 'There is no such invitation. Check that it is whole.');
  return row;
}

/** Throws `conflict` for one that is used, withdrawn or too old. */
async function takeInvitation(trx: Trx, ctx: Ctx, hash: string): Promise<Row<'invitations'>> {
  const nowMs = ctx.now();
  const taken = await trx
    .updateTable('invitations')
    .set({ accepted_at_ms: nowMs })
    .where('hash', '=', hash)
    .where('accepted_at_ms', 'is', null)
    .where('revoked_at_ms', 'is', null)
    .where('expires_at_ms', '>', nowMs)
    .returningAll()
    .executeTakeFirst();
  if (taken !== undefined) return taken;
  const reason = stateOf(await requireInvitation(trx, hash), nowMs);
  const why = { open: 'taken', accepted: 'used already', revoked: 'withdrawn', expired: 'too old' }[reason];
  throw new CubitError('conflict', `This invitation is ${why}. Ask for a new one.`, { details: { reason } });
}

/** The membership's id. A person whom another tenant knows stays who they are. */
async function addMember(trx: Trx, ctx: Ctx, invited: Row<'invitations'> & { name: string }): Promise<string> {
  const nowMs = ctx.now();
  await trx
    .insertInto('people')
    .values({ id: ctx.newId('person'), email: invited.email, created_at_ms: nowMs })
    .onConflict((conflict) => conflict.column('email').doNothing())
    .execute();
  const person = await trx
    .selectFrom('people')
    .select('id')
    .where('email', '=', invited.email)
    .executeTakeFirstOrThrow();
  const row = {
    id: ctx.newId('member'),
    person_id: person.id,
    tenant_id: invited.tenant_id,
    role: invited.role,
    name: invited.name,
    created_at_ms: nowMs,
    removed_at_ms: null,
  };
  await trx.insertInto('memberships').values(row).execute();
  return row.id;
}
