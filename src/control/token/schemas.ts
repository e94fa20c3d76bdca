import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id } from '../schemas.ts';

export const DAYS_DEFAULT = 90;
export const ExpiresInDays = z.int().min(1).max(366).default(DAYS_DEFAULT).describe('How long it is good for');
/** Whose tokens: a member's own, or another's whom they may manage. */
export const TokenOwner = Id.optional().describe('Another member or operator whom you may manage; else you');

export const Token = z.object({
  tokenId: Id,
  memberId: Id,
  name: z.string(),
  hint: z.string().describe('First signs, to tell tokens apart'),
  createdAtMs: EpochMs,
  expiresAtMs: EpochMs,
  revokedAtMs: EpochMs.nullable(),
});

export function tokenView(row: Row<'access_tokens'>): z.output<typeof Token> {
  return {
    tokenId: row.id,
    memberId: row.member_id,
    name: row.name,
    hint: row.hint,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    revokedAtMs: row.revoked_at_ms,
  };
}
