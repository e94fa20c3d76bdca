import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id } from '../schemas.ts';

export const Sha256 = z.string().describe('SHA-256 of title and text, hex: which words were accepted');

export const Acceptance = z.object({
  acceptanceId: Id,
  tenantId: Id,
  version: z.string(),
  sha256: Sha256,
  actor: z.string().describe('Who accepted it, as the audit names them'),
  acceptedAtMs: EpochMs,
});

export function acceptanceView(row: Row<'agreement_acceptances'>): z.output<typeof Acceptance> {
  return {
    acceptanceId: row.id,
    tenantId: row.tenant_id,
    version: row.version,
    sha256: row.sha256,
    actor: row.actor,
    acceptedAtMs: row.created_at_ms,
  };
}
