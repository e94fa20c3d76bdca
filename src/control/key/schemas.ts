import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id } from '../schemas.ts';

export const Scope = z.enum(['inference', 'manage']).describe('manage: inference and the control API as well');

export const Key = z.object({
  keyId: Id,
  tenantId: Id,
  name: z.string(),
  hint: z.string().describe('First signs, to tell keys apart'),
  scope: Scope,
  createdAtMs: EpochMs,
  revokedAtMs: EpochMs.nullable(),
});

export function keyView(row: Row<'api_keys'>): z.output<typeof Key> {
  return {
    keyId: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    hint: row.hint,
    scope: row.scope,
    createdAtMs: row.created_at_ms,
    revokedAtMs: row.revoked_at_ms,
  };
}
