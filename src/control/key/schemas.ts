import { z } from 'zod';
import { KEY_ROLES } from '../../core/roles.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { EpochMs, Id } from '../schemas.ts';

export const Role = z.enum(KEY_ROLES);
export const Scope = z
  .enum(['inference', 'manage'])
  .describe('What there was before roles: inference is that role, manage is admin');

/** `team=search`: at most 8 of a key; names and values as people write them, without `=`. */
export const Label = z.string().regex(/^[\w.-]{1,40}=[^\s=,"][^=,"]{0,59}$/, 'has to be like team=search');
const LABELS_MAX = 8;
export const Labels = z.array(Label).max(LABELS_MAX).describe('Label as in team=search: costs are split by it');

/** The labels after a change. Throws `invalid_request` when they are too many. */
export function labelsWith(
  before: Readonly<Record<string, string>>,
  changes: { readonly label?: readonly string[] | undefined; readonly unlabel?: readonly string[] | undefined },
): Record<string, string> {
  const labels = new Map(Object.entries(before));
  for (const name of changes.unlabel ?? []) labels.delete(name);
  for (const label of changes.label ?? []) {
    const split = label.indexOf('=');
    labels.set(label.slice(0, split), label.slice(split + 1).trim());
  }
  if (labels.size > LABELS_MAX) throw invalidField('label', `a key has at most ${LABELS_MAX} labels`);
  return Object.fromEntries([...labels].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const Count = z.int().min(1).max(1e9);

/** How much of what is shared a key gets, and what it may use of it. */
const limitFields = {
  weight: z
    .number()
    .min(0.01)
    .max(1_000)
    .describe('Its part where requests wait, against 1 of others; keys with the same label share=… have one part'),
  rpm: Count.describe('Requests a minute at most'),
  tpm: Count.describe('Prompt and output tokens a minute at most'),
  unitSecondsPerMinute: z.number().min(0.001).max(1e7).describe('Work a minute at most; one unit supplies 60'),
  concurrency: Count.describe('Requests on their way together at most'),
};
export const optionalLimits = z.object(limitFields).partial().shape;
export const LIMITS = ['rpm', 'tpm', 'unitSecondsPerMinute', 'concurrency'] as const;

/** The limits that are asked for, as columns; what is undefined stays as it was, or unlimited. */
export function limitColumns(input: {
  readonly weight?: number | undefined;
  readonly rpm?: number | undefined;
  readonly tpm?: number | undefined;
  readonly unitSecondsPerMinute?: number | undefined;
  readonly concurrency?: number | undefined;
}) {
  const { weight, rpm, tpm, unitSecondsPerMinute, concurrency } = input;
  return {
    ...(weight !== undefined && { weight }),
    ...(rpm !== undefined && { requests_per_minute: rpm }),
    ...(tpm !== undefined && { tokens_per_minute: tpm }),
    ...(unitSecondsPerMinute !== undefined && { work_us_per_minute: Math.round(unitSecondsPerMinute * 1e6) }),
    ...(concurrency !== undefined && { concurrency }),
  };
}

export const Key = z.object({
  keyId: Id,
  tenantId: Id,
  name: z.string(),
  hint: z.string().describe('First signs, to tell keys apart'),
  role: Role,
  scope: Scope,
  labels: z.record(z.string(), z.string()).describe('What its use is charged to'),
  weight: limitFields.weight,
  rpm: limitFields.rpm.nullable(),
  tpm: limitFields.tpm.nullable(),
  unitSecondsPerMinute: limitFields.unitSecondsPerMinute.nullable(),
  concurrency: limitFields.concurrency.nullable(),
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
    labels: JSON.parse(row.labels_json) as Record<string, string>,
    weight: row.weight,
    rpm: row.requests_per_minute,
    tpm: row.tokens_per_minute,
    unitSecondsPerMinute: row.work_us_per_minute === null ? null : row.work_us_per_minute / 1e6,
    concurrency: row.concurrency,
    createdAtMs: row.created_at_ms,
    revokedAtMs: row.revoked_at_ms,
  };
}
