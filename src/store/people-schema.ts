import type { MemberRole } from '../core/roles.ts';

/** People, what they belong to, and what they sign in with; the rules of `schema.ts` hold. */
export interface PeopleTables {
  /** One for each e-mail address, whatever it belongs to. */
  people: {
    id: string;
    /** In small letters. */
    email: string;
    created_at_ms: number;
  };
  /** A person in a tenant; without one: an operator. At most one that was not removed for each person and tenant. */
  memberships: {
    id: string;
    person_id: string;
    tenant_id: string | null;
    role: MemberRole | 'operator';
    /** What they are called here: a tenant learns nothing from another one's. */
    name: string;
    created_at_ms: number;
    removed_at_ms: number | null;
  };
  invitations: {
    id: string;
    /** null: to be an operator. */
    tenant_id: string | null;
    email: string;
    name: string | null;
    role: MemberRole | 'operator';
    /** SHA-256 of the invitation, hex. */
    hash: string;
    /** As the audit names it. */
    invited_by: string;
    created_at_ms: number;
    expires_at_ms: number;
    accepted_at_ms: number | null;
    revoked_at_ms: number | null;
  };
  /** What members sign in with at the control API. */
  access_tokens: {
    id: string;
    member_id: string;
    name: string;
    /** SHA-256 of the token, hex. */
    hash: string;
    hint: string;
    created_at_ms: number;
    expires_at_ms: number;
    revoked_at_ms: number | null;
  };
}
