import { z } from 'zod';
import type { ReplicaStatus } from '../../fleet/port.ts';
import { requireEndpoint, scopeOf } from '../internal.ts';
import { pageOf } from '../page.ts';
import { EpochMs, Id, TenantFilter } from '../schemas.ts';
import { groupIdOf } from '../units.ts';
import { type Ctx, defineVerb } from '../verb.ts';

const State = z.enum(['starting', 'ready', 'draining', 'stopped', 'failed']);

const Replica = z.object({
  replicaId: z.string(),
  tenantId: Id,
  endpointId: Id,
  servedModelId: Id,
  groupId: Id.nullable(),
  templateId: z.string(),
  role: z.string(),
  state: State,
  startedAtMs: EpochMs,
  readyAtMs: EpochMs.nullable(),
  restarts: z.int(),
  failure: z.string().nullable(),
  timeScale: z
    .number()
    .nullable()
    .describe('Its times ÷ its profile’s, by a self-check at its start; null: not checked'),
  health: z
    .enum(['serving', 'ejected', 'probing'])
    .nullable()
    .describe('How this process’s gateway finds it, by how requests ended there; null: it does not route to it'),
  healthReason: z.string().nullable().describe('Why it was ejected last'),
  url: z.string().nullable().describe('Where an adopted server is; only the operator sees it'),
});

export const replicaList = defineVerb({
  name: 'replica.list',
  summary: 'Running copies behind the units, by id.',
  access: 'view',
  route: { method: 'GET', path: '/replicas' },
  input: z.strictObject({ tenantId: TenantFilter, endpointId: Id.optional(), state: State.optional() }),
  output: pageOf(Replica),
  columns: ['replicaId', 'endpointId', 'state', 'health', 'restarts', 'timeScale', 'failure'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const endpoint = input.endpointId === undefined ? null : await requireEndpoint(ctx.db, scope, input.endpointId);
    const running = ctx.fleet.list().filter(({ state }) => input.state === undefined || state === input.state);
    if (running.length === 0) return { items: [], nextCursor: null };
    const servedModelIds = [...new Set(running.map((replica) => replica.servedModelId))];
    const served = await ctx.db
      .selectFrom('served_models')
      .select(['id', 'tenant_id', 'endpoint_id'])
      .where('id', 'in', servedModelIds)
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$if(endpoint !== null, (query) => query.where('endpoint_id', '=', endpoint?.id ?? ''))
      .execute();
    const owners = new Map(served.map((row) => [row.id, row]));
    const items = running.flatMap((replica) => {
      const owner = owners.get(replica.servedModelId);
      return owner === undefined ? [] : [replicaView(replica, owner, ctx)];
    });
    return { items: items.sort((a, b) => (a.replicaId < b.replicaId ? -1 : 1)), nextCursor: null };
  },
});

function replicaView(replica: ReplicaStatus, owner: { tenant_id: string; endpoint_id: string }, ctx: Ctx) {
  const { address } = replica;
  const health = ctx.healthOf(replica.replicaId);
  return {
    replicaId: replica.replicaId,
    tenantId: owner.tenant_id,
    endpointId: owner.endpoint_id,
    servedModelId: replica.servedModelId,
    groupId: groupIdOf(replica.replicaId),
    templateId: replica.templateId,
    role: replica.role,
    state: replica.state,
    startedAtMs: replica.startedAtMs,
    readyAtMs: replica.readyAtMs,
    restarts: replica.restarts,
    failure: replica.failure,
    timeScale: replica.timeScale === null ? null : Math.round(replica.timeScale * 100) / 100,
    health: health?.state ?? null,
    healthReason: health?.reason ?? null,
    url: ctx.actor.kind === 'operator' && address?.kind === 'openai-http' ? address.url : null,
  };
}
