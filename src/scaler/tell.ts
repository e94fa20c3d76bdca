import type { Trx } from '../control/verb.ts';
import type { IdKind } from '../core/ids.ts';
import { notify } from '../store/notices.ts';
import type { Row } from '../store/schema.ts';
import { failuresInARow } from './backoff.ts';

type Group = Row<'instance_groups'>;

interface By {
  now(): number;
  newId(kind: IdKind): string;
}

/** Failures in a row of which the tenant is told. */
const STUCK_FAILURES = 3;

/** A unit is launched again after others failed: the tenant is told once for each run of failures. */
export async function tellWhenStuck(trx: Trx, by: By, group: Group): Promise<void> {
  const last = await trx
    .selectFrom('elastic_units')
    .select(['state', 'failure', 'ready_at_ms', 'ended_at_ms'])
    .where('group_id', '=', group.id)
    .where('ended_at_ms', 'is not', null)
    .orderBy('ended_at_ms', 'desc')
    .limit(STUCK_FAILURES)
    .execute();
  if (failuresInARow(last) < STUCK_FAILURES) return;
  await notify(trx, by, {
    tenantId: group.tenant_id,
    kind: 'scaling_stuck',
    subject: group.id,
    dueAtMs: last.at(-1)!.ended_at_ms!,
    detail: { endpointId: group.endpoint_id, groupId: group.id, failures: last.length, reason: last[0]!.failure },
  });
}

/** A quota was cut below what runs: so many added units are taken back. */
export async function tellOfQuota(trx: Trx, by: By, group: Group, units: number): Promise<void> {
  await notify(trx, by, {
    tenantId: group.tenant_id,
    kind: 'scaling_quota_cut',
    subject: group.id,
    dueAtMs: by.now(),
    detail: { endpointId: group.endpoint_id, templateId: group.template_id, units },
  });
}
