import { z } from 'zod';
import { MEMBER_ROLES, type MemberRole } from '../../core/roles.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import { EpochMs, Id } from '../schemas.ts';

export const Role = z.enum(MEMBER_ROLES);
export const Email = z.email('an e-mail address such as ada@example.com').max(254);

export const Member = z.object({
  memberId: Id,
  tenantId: Id,
  email: z.string(),
  name: z.string(),
  role: Role,
  createdAtMs: EpochMs,
  removedAtMs: EpochMs.nullable(),
});

export const Operator = Member.omit({ tenantId: true, role: true });

export interface MemberRow extends Row<'memberships'> {
  readonly email: string;
}

/** Memberships with the person's address. */
export function selectMembers(db: Db) {
  return db
    .selectFrom('memberships')
    .innerJoin('people', 'people.id', 'memberships.person_id')
    .selectAll('memberships')
    .select('people.email');
}

export function operatorView(row: MemberRow): z.output<typeof Operator> {
  return {
    memberId: row.id,
    email: row.email,
    name: row.name,
    createdAtMs: row.created_at_ms,
    removedAtMs: row.removed_at_ms,
  };
}

export function memberView(row: MemberRow): z.output<typeof Member> {
  return { ...operatorView(row), tenantId: row.tenant_id ?? '', role: row.role as MemberRole };
}
