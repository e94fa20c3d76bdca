import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id } from '../schemas.ts';

export const Tenant = z.object({
  tenantId: Id,
  name: z.string(),
  zone: z.string().describe('Billing zone, IANA'),
  currency: z.string(),
  createdAtMs: EpochMs,
});

export function tenantView(row: Row<'tenants'>): z.output<typeof Tenant> {
  return { tenantId: row.id, name: row.name, zone: row.zone, currency: row.currency, createdAtMs: row.created_at_ms };
}
