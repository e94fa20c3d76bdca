import { z } from 'zod';
import { MEMBER_ROLES } from '../../core/roles.ts';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id } from '../schemas.ts';

export const ExpiresInHours = z.int().min(1).max(720).default(72).describe('How long the invitation is good for');
export const Secret = z
  .string()
  .nullable()
  .describe('Send it to the person, who takes it with member.accept; null when the answer is a replay');

export const Invitation = z.object({
  invitationId: Id,
  tenantId: Id.nullable().describe('null: to be an operator'),
  email: z.string(),
  role: z.enum([...MEMBER_ROLES, 'operator']),
  state: z.enum(['open', 'accepted', 'revoked', 'expired']),
  invitedBy: z.string(),
  createdAtMs: EpochMs,
  expiresAtMs: EpochMs,
});

type State = z.output<typeof Invitation>['state'];

export function stateOf(row: Row<'invitations'>, nowMs: number): State {
  if (row.accepted_at_ms !== null) return 'accepted';
  if (row.revoked_at_ms !== null) return 'revoked';
  return row.expires_at_ms <= nowMs ? 'expired' : 'open';
}

export function invitationView(row: Row<'invitations'>, nowMs: number): z.output<typeof Invitation> {
  return {
    invitationId: row.id,
    tenantId: row.tenant_id,
    email: row.email,
    role: row.role,
    state: stateOf(row, nowMs),
    invitedBy: row.invited_by,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
  };
}
