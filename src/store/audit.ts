import type { Transaction } from 'kysely';
import type { IdKind } from '../core/ids.ts';
import type { Database } from './schema.ts';

/** Who did it: a verb's actor, or a background job. */
export type AuditActor =
  | { readonly kind: 'operator' }
  | { readonly kind: 'tenant'; readonly keyId: string }
  | { readonly kind: 'system'; readonly job: string };

export interface AuditEntry {
  /** `noun.verb`. */
  readonly verb: string;
  /** Id of what was changed. */
  readonly subject: string;
  /** null for what belongs to no tenant. */
  readonly tenantId: string | null;
  /** Plain data without secrets and prompt text. Bigints are written as decimal strings. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Writes who did what, in the same transaction as the change itself. A verb's `ctx` fits as the second argument. */
export async function audit(
  trx: Transaction<Database>,
  by: { readonly actor: AuditActor; now(): number; newId(kind: IdKind): string },
  entry: AuditEntry,
): Promise<void> {
  await trx
    .insertInto('audit')
    .values({
      id: by.newId('audit'),
      tenant_id: entry.tenantId,
      actor: actorName(by.actor),
      verb: entry.verb,
      subject: entry.subject,
      detail_json: JSON.stringify(entry.detail ?? {}, (_key, value: unknown) =>
        typeof value === 'bigint' ? value.toString() : value,
      ),
      at_ms: by.now(),
    })
    .execute();
}

/** `operator`, `key:{keyId}` or `system:{job}`. */
export function actorName(actor: AuditActor): string {
  if (actor.kind === 'operator') return 'operator';
  return actor.kind === 'tenant' ? `key:${actor.keyId}` : `system:${actor.job}`;
}
