import { z } from 'zod';
import { APPLICATION_STATES } from '../../core/commerce/application.ts';
import { APPLICATION_KINDS } from '../../store/gate-schema.ts';
import type { Row } from '../../store/schema.ts';
import { Count, EpochMs, Id } from '../schemas.ts';

export const ApplicationKind = z.enum(APPLICATION_KINDS);
export const ApplicationStates = z.enum(APPLICATION_STATES);
/** For whoever decides, or is told. */
export const Reason = z.string().trim().min(1).max(1000);

export const Application = z.object({
  applicationId: Id,
  tenantId: Id,
  kind: ApplicationKind,
  about: Id.describe('Quota: the template; access: the feature'),
  units: Count.nullable().describe('Quota: the whole of it that is wanted'),
  grantedUnits: Count.nullable(),
  reason: z.string(),
  state: ApplicationStates,
  note: z.string().nullable().describe("The operator's words"),
  createdAtMs: EpochMs,
  decidedAtMs: EpochMs.nullable(),
  decidedBy: z.string().nullable().describe('operator or key:…'),
});

export function applicationView(row: Row<'applications'>): z.output<typeof Application> {
  return {
    applicationId: row.id,
    tenantId: row.tenant_id,
    kind: row.kind,
    about: row.about,
    units: row.units,
    grantedUnits: row.granted_units,
    reason: row.reason,
    state: row.state,
    note: row.note,
    createdAtMs: row.created_at_ms,
    decidedAtMs: row.decided_at_ms,
    decidedBy: row.decided_by,
  };
}
