import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { EpochMs, Id } from '../schemas.ts';

export const Server = z.object({
  serverId: Id,
  templateId: z.string(),
  url: z.string(),
  model: z.string().describe("The model's name on that server"),
  dialect: z.string(),
  hasApiKey: z.boolean(),
  role: z.enum(['unified', 'prefill', 'decode']),
  bootstrapPort: z.int().nullable(),
  kvEvents: z.string().nullable(),
  kvReplay: z.string().nullable(),
  createdAtMs: EpochMs,
  removedAtMs: EpochMs.nullable(),
});

export function serverView(row: Row<'servers'>): z.output<typeof Server> {
  return {
    serverId: row.id,
    templateId: row.template_id,
    url: row.url,
    model: row.model,
    dialect: row.dialect,
    hasApiKey: row.api_key !== null,
    role: row.role,
    bootstrapPort: row.bootstrap_port,
    kvEvents: row.kv_events,
    kvReplay: row.kv_replay,
    createdAtMs: row.created_at_ms,
    removedAtMs: row.removed_at_ms,
  };
}
