import { sql } from 'kysely';
import { z } from 'zod';
import type { Share } from '../../core/commerce/chargeback.ts';
import { type Db, endpointIdOf, notFound, requireTenant } from '../internal.ts';
import { Count, EpochMs, Id, Money, money, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Period, readPeriod } from './period.ts';
import { splitCosts } from './split.ts';
import type { Span } from './supply.ts';

const Row = z.object({
  kind: z
    .enum(['key', 'label', 'unlabelled', 'unallocated'])
    .describe('unlabelled: keys without this label. unallocated: times in which nobody worked'),
  id: z.string().nullable().describe('The key, or the value of the label'),
  name: z.string().nullable(),
  requests: Count,
  unitSeconds: z.number().describe('Work of its requests, in seconds of one unit'),
  used: Money.describe('For what its requests took of the units'),
  idle: Money.describe('For what nobody took, shared by work'),
  total: Money,
});

export const chargebackShow = defineVerb({
  name: 'chargeback.show',
  summary: 'What units cost in a month or a span, split by work over keys or the values of a label, used and idle.',
  access: 'view_money',
  route: { method: 'GET', path: '/chargeback' },
  input: z.strictObject({
    tenantId: TenantId,
    endpointId: Id.optional().describe('Only this endpoint, by id or name; all of them when left out'),
    ...Period,
    by: z
      .string()
      .regex(/^(key|label:[\w.-]{1,40})$/, 'key, or label:team for the values of the label team')
      .default('key')
      .describe('key, or label:NAME'),
  }),
  output: z.object({
    tenantId: Id,
    endpointId: Id.nullable(),
    fromMs: EpochMs,
    toMs: EpochMs,
    cost: Money.describe('Bills of hours and prepaid days that ended in the span; the items add up to it'),
    used: Money,
    idle: Money.describe('With what is unallocated'),
    items: z.array(Row),
  }),
  columns: ['kind', 'id', 'name', 'requests', 'unitSeconds', 'used', 'idle', 'total'],
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const tenant = await requireTenant(ctx.db, tenantId);
    const endpointId = await ownEndpoint(ctx.db, tenantId, input.endpointId);
    const span = readPeriod(input, tenant.zone, ctx.now());
    const split = await splitCosts(ctx.db, { tenant, endpointId, span, withUnbilled: false });
    const work = await workByKey(ctx.db, tenantId, endpointId, span);
    const keys = await keysOf(ctx.db, tenantId, [...new Set([...split.shares.keys(), ...work.keys()])]);
    const rows = group(keys, work, split.shares, input.by);
    const inMoney = (micros: bigint) => money(micros, tenant.currency);
    const sum = (of: (row: Sums) => bigint) => rows.reduce((total, row) => total + of(row), 0n);
    const unallocated = {
      kind: 'unallocated' as const,
      id: null,
      name: null,
      requests: 0,
      unitSeconds: 0,
      usedMicros: 0n,
    };
    const items = [...rows, { ...unallocated, idleMicros: split.unallocatedMicros }]
      .filter((row) => row.requests > 0 || row.usedMicros + row.idleMicros !== 0n)
      .map(({ usedMicros, idleMicros, ...row }) => ({
        ...row,
        used: inMoney(usedMicros),
        idle: inMoney(idleMicros),
        total: inMoney(usedMicros + idleMicros),
      }));
    return {
      tenantId,
      endpointId,
      ...span,
      cost: inMoney(split.costMicros),
      used: inMoney(sum((row) => row.usedMicros)),
      idle: inMoney(sum((row) => row.idleMicros) + split.unallocatedMicros),
      items,
    };
  },
});

/** Deleted ones too, by id: what they cost stays. */
async function ownEndpoint(db: Db, tenantId: string, idOrName: string | undefined): Promise<string | null> {
  const id = await endpointIdOf(db, tenantId, idOrName);
  if (id === undefined) return null;
  const own = await db
    .selectFrom('endpoints')
    .select('id')
    .where('id', '=', id)
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst();
  if (own === undefined) throw notFound('endpoint', id);
  return own.id;
}

interface Work {
  readonly requests: number;
  readonly unitSeconds: number;
}

async function workByKey(
  db: Db,
  tenantId: string,
  endpointId: string | null,
  span: Span,
): Promise<ReadonlyMap<string, Work>> {
  const rows = await db
    .selectFrom('endpoints')
    .innerJoin('served_models', 'served_models.endpoint_id', 'endpoints.id')
    .innerJoin('usage_quarters', 'usage_quarters.served_model_id', 'served_models.id')
    .where('endpoints.tenant_id', '=', tenantId)
    .$if(endpointId !== null, (query) => query.where('endpoints.id', '=', endpointId ?? ''))
    .where('from_ms', '>=', span.fromMs)
    .where('from_ms', '<', span.toMs)
    .select('key_id')
    .select((eb) => [
      eb.fn.sum<number>('requests').as('requests'),
      // A float: microseconds of a month may be more than a number counts exactly.
      sql<number>`sum(prefill_us + decode_us) / 1000000.0`.as('unit_seconds'),
    ])
    .groupBy('key_id')
    .execute();
  return new Map(
    rows.map((row) => [row.key_id, { requests: Number(row.requests), unitSeconds: Number(row.unit_seconds) }]),
  );
}

interface Key {
  readonly id: string;
  readonly name: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

async function keysOf(db: Db, tenantId: string, ids: readonly string[]): Promise<Key[]> {
  const rows = await db
    .selectFrom('api_keys')
    .select(['id', 'name', 'labels_json'])
    .where('tenant_id', '=', tenantId)
    .execute();
  const known = new Map(rows.map((row) => [row.id, row]));
  return ids.toSorted().map((id) => {
    const row = known.get(id);
    return { id, name: row?.name ?? null, labels: JSON.parse(row?.labels_json ?? '{}') as Record<string, string> };
  });
}

interface Sums extends Work, Share {
  readonly kind: 'key' | 'label' | 'unlabelled';
  readonly id: string | null;
  readonly name: string | null;
}

function group(
  keys: readonly Key[],
  work: ReadonlyMap<string, Work>,
  shares: ReadonlyMap<string, Share>,
  by: string,
): Sums[] {
  const label = by === 'key' ? null : by.slice('label:'.length);
  const groups = Map.groupBy(keys, (key) => (label === null ? key.id : (key.labels[label] ?? null)));
  const sums = Array.from(groups, ([id, members]): Sums => {
    const total = (of: (keyId: string) => number) => members.reduce((sum, key) => sum + of(key.id), 0);
    const micros = (of: (share: Share) => bigint) =>
      members.reduce((sum, key) => sum + of(shares.get(key.id) ?? { usedMicros: 0n, idleMicros: 0n }), 0n);
    return {
      kind: label === null ? 'key' : id === null ? 'unlabelled' : 'label',
      id,
      name: label === null ? (members[0]?.name ?? null) : id,
      requests: total((keyId) => work.get(keyId)?.requests ?? 0),
      unitSeconds: total((keyId) => work.get(keyId)?.unitSeconds ?? 0),
      usedMicros: micros((share) => share.usedMicros),
      idleMicros: micros((share) => share.idleMicros),
    };
  });
  const costOf = (row: Sums) => row.usedMicros + row.idleMicros;
  return sums.sort((a, b) => (costOf(a) === costOf(b) ? 0 : costOf(a) > costOf(b) ? -1 : 1));
}
