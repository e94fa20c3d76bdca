import { CubitError } from '../core/errors.ts';
import { covers, may, type Permission, permissionsOf, ROLES, type Role, rolesWith } from '../core/roles.ts';
import type { Access, Actor } from './verb.ts';

/** Throws `forbidden` for nobody in particular, who has none. */
export function roleOf(actor: Actor): Role {
  if (actor.kind === 'operator') return 'operator';
  if (actor.kind === 'anyone') throw new CubitError('forbidden', 'Sign in with an API key or a token first.');
  return actor.role;
}

/** Throws `forbidden`, which says what is needed and who has it. */
export function checkAccess(access: Access, actor: Actor): void {
  if (access !== 'anyone') requirePermission(actor, access);
}

export function requirePermission(actor: Actor, needs: Permission): void {
  const role = roleOf(actor);
  if (may(role, needs)) return;
  const roles = rolesWith(needs);
  throw new CubitError('forbidden', `This needs the permission ${needs}: ${rolesText(roles)}. You are ${role}.`, {
    details: { needs, roles, role },
  });
}

/** Nobody gives, changes or takes a role that may do what they may not. Throws `forbidden`. */
export function requireCover(actor: Actor, other: Role): void {
  const role = roleOf(actor);
  if (covers(role, other)) return;
  const lacks = permissionsOf(other).filter((permission) => !may(role, permission));
  const roles = ROLES.filter((one) => covers(one, other));
  throw new CubitError(
    'forbidden',
    `The role ${other} is above yours (${role}), which lacks ${lacks.join(', ')}. Ask for it: ${rolesText(roles)}.`,
    { details: { needs: lacks, roles, role } },
  );
}

function rolesText(roles: readonly Role[]): string {
  return `${roles.length === 1 ? 'the role' : 'one of the roles'} ${roles.join(', ')}`;
}
