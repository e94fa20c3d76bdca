import { CubitError } from '../core/errors.ts';
import type { MemberRole } from '../core/roles.ts';
import type { ControlDeps } from './call.ts';
import { sameToken, sha256Hex } from './operator-token.ts';
import { TOKEN_PREFIX } from './secret.ts';
import type { Actor } from './verb.ts';

type Deps = Pick<ControlDeps, 'db' | 'operatorToken' | 'now'>;

/**
 * Who sends `Authorization: Bearer …`: the platform's own token, a member (of a tenant or of the operators) by a token of
 * theirs, or a tenant's key. Read anew for each request: what is revoked stops at once. Throws `invalid_api_key`.
 */
export async function actorOf(deps: Deps, authorization: string | undefined): Promise<Actor> {
  const secret = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (secret === undefined) {
    throw new CubitError('invalid_api_key', 'Send an API key or a token: Authorization: Bearer …');
  }
  if (sameToken(secret, deps.operatorToken)) return { kind: 'operator' };
  return secret.startsWith(TOKEN_PREFIX) ? memberOf(deps, secret) : keyOf(deps, secret);
}

async function memberOf(deps: Deps, token: string): Promise<Actor> {
  const member = await deps.db
    .selectFrom('access_tokens')
    .innerJoin('memberships', 'memberships.id', 'access_tokens.member_id')
    .select(['memberships.id', 'tenant_id', 'role'])
    .where('hash', '=', sha256Hex(token))
    .where('revoked_at_ms', 'is', null)
    .where('expires_at_ms', '>', deps.now())
    .where('removed_at_ms', 'is', null)
    .executeTakeFirst();
  if (member === undefined) throw new CubitError('invalid_api_key', 'This token is unknown, revoked or expired.');
  const { id: memberId, tenant_id: tenantId, role } = member;
  return tenantId === null
    ? { kind: 'operator', memberId }
    : { kind: 'member', tenantId, memberId, role: role as MemberRole };
}

async function keyOf(deps: Deps, secret: string): Promise<Actor> {
  const key = await deps.db
    .selectFrom('api_keys')
    .select(['id', 'tenant_id', 'role'])
    .where('hash', '=', sha256Hex(secret))
    .where('revoked_at_ms', 'is', null)
    .executeTakeFirst();
  if (key === undefined) throw new CubitError('invalid_api_key', 'This key is unknown or revoked.');
  return { kind: 'key', tenantId: key.tenant_id, keyId: key.id, role: key.role };
}
