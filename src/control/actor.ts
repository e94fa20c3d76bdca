import { CubitError } from '../core/errors.ts';
import type { ControlDeps } from './call.ts';
import { sameToken, sha256Hex } from './operator-token.ts';
import type { Actor } from './verb.ts';

/** Who sends `Authorization: Bearer …`: the operator, or a tenant by its key. Throws `invalid_api_key`. */
export async function actorOf(
  deps: Pick<ControlDeps, 'db' | 'operatorToken'>,
  authorization: string | undefined,
): Promise<Actor> {
  const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) {
    throw new CubitError('invalid_api_key', 'Send an API key or the operator token: Authorization: Bearer …');
  }
  if (sameToken(token, deps.operatorToken)) return { kind: 'operator' };
  const key = await deps.db
    .selectFrom('api_keys')
    .select(['id', 'tenant_id', 'scope'])
    .where('hash', '=', sha256Hex(token))
    .where('revoked_at_ms', 'is', null)
    .executeTakeFirst();
  if (key === undefined) throw new CubitError('invalid_api_key', 'This key is unknown or revoked.');
  return { kind: 'tenant', tenantId: key.tenant_id, keyId: key.id, scope: key.scope };
}
