import { z } from 'zod';
import { KEY_ROLES } from '../../core/roles.ts';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id } from '../schemas.ts';

export const Role = z.enum(KEY_ROLES);
export const Scope = z
  .enum(['inference', 'manage'])
  .describe('What there was before roles: inference is that role, manage is admin');

export const Key = z.object({
  keyId: Id,
  tenantId: Id,
  name: z.string(),
  hint: z.string().describe('First signs, to tell keys apart'),
  role: Role,
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
    role: row.role,
    scope: row.scope,
    createdAtMs: row.created_at_ms,
    revokedAtMs: row.revoked_at_ms,
  };
}
