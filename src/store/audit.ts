import type { Transaction } from 'kysely';
import type { IdKind } from '../core/ids.ts';
import { insertAll } from './bulk.ts';
import type { Database } from './schema.ts';

/** Who did it: a verb's actor, or a background job. */
export type AuditActor =
  | { readonly kind: 'operator'; readonly memberId?: string }
  | { readonly kind: 'member'; readonly memberId: string }
  | { readonly kind: 'key'; readonly keyId: string }
  | { readonly kind: 'anyone' }
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

interface By {
  readonly actor: AuditActor;
  now(): number;
  newId(kind: IdKind): string;
}

/** Writes who did what, in the same transaction as the change itself. A verb's `ctx` fits as the second argument. */
export async function audit(trx: Transaction<Database>, by: By, entry: AuditEntry): Promise<void> {
  await auditAll(trx, by, [entry]);
}

/** The same for several things done in one transaction, one at least; at most a few thousand. */
export async function auditAll(trx: Transaction<Database>, by: By, entries: readonly AuditEntry[]): Promise<void> {
  const rows = entries.map((entry) => ({
    id: by.newId('audit'),
    tenant_id: entry.tenantId,
    actor: actorName(by.actor),
    verb: entry.verb,
    subject: entry.subject,
    detail_json: JSON.stringify(entry.detail ?? {}, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    ),
    at_ms: by.now(),
  }));
  await insertAll(trx, 'audit', rows);
}

/** `operator` (the platform's own token), `operator:{memberId}`, `member:{memberId}`, `key:{keyId}`, `system:{job}` or `anyone`. */
export function actorName(actor: AuditActor): string {
  switch (actor.kind) {
    case 'operator':
      return actor.memberId === undefined ? 'operator' : `operator:${actor.memberId}`;
    case 'member':
      return `member:${actor.memberId}`;
    case 'key':
      return `key:${actor.keyId}`;
    case 'system':
      return `system:${actor.job}`;
    case 'anyone':
      return 'anyone';
  }
}
