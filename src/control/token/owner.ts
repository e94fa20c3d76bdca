import { invalidField } from '../input.ts';
import { type Db, notFound, scopeOf } from '../internal.ts';
import { type MemberRow, selectMembers } from '../member/schemas.ts';
import { requireCover, requirePermission } from '../permission.ts';
import type { Actor, Ctx } from '../verb.ts';

/** null: a key, or the platform's own token. */
export function ownMemberId(actor: Actor): string | null {
  return (actor.kind === 'member' || actor.kind === 'operator' ? actor.memberId : null) ?? null;
}

/**
 * The member or operator whose tokens are asked for: the actor, or one that it may manage. Throws `not_found` for
 * another tenant's, `forbidden` for one above the actor, `invalid_request` where an actor that is nobody names nobody.
 */
export async function tokenOwner(db: Db, ctx: Pick<Ctx, 'actor'>, memberId: string | undefined): Promise<MemberRow> {
  const own = ownMemberId(ctx.actor);
  const wanted = memberId ?? own;
  if (wanted === null) throw invalidField('memberId', 'you are no person: say whose');
  const scope = scopeOf(ctx);
  const owner = await selectMembers(db)
    .where('memberships.id', '=', wanted)
    .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
    .executeTakeFirst();
  if (owner === undefined) throw notFound('member', wanted);
  if (wanted !== own) {
    requirePermission(ctx.actor, 'manage_members');
    requireCover(ctx.actor, owner.role);
  }
  return owner;
}
