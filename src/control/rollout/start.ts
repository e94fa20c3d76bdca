import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { holdEndpoint, LIVE_GROUP_STATES, requireEndpoint, scopeOf } from '../internal.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { moveTraffic, requireNoRollout } from './move.ts';
import { RolloutView, rolloutView } from './schemas.ts';

const Step = z.int().min(1).max(100);

export const rolloutStart = defineVerb({
  name: 'rollout.start',
  summary:
    'Take a served model from 0 to 100 % of an endpoint’s traffic in steps; worse than the other, it goes back by itself.',
  access: 'manage_endpoints',
  route: { method: 'POST', path: '/endpoints/{endpointId}/rollout' },
  input: z.strictObject({
    endpointId: Id.describe('Id or name'),
    tenantId: TenantFilter,
    toServedModelId: Id.describe('Gets the traffic'),
    fromServedModelId: Id.optional().describe('Gives it; needed when there are more than two'),
    steps: z.array(Step).min(1).max(20).default([5, 25, 50, 100]).describe('Percentages, growing to 100'),
    pauseMs: z
      .int()
      .min(10_000)
      .max(7 * 86_400_000)
      .default(600_000)
      .describe('From one step to the next'),
    badPointsMax: z
      .number()
      .min(0)
      .max(100)
      .default(2)
      .describe('Failed or refused: percentage points above the other'),
    ttftRatioMax: z.number().min(1).max(100).default(1.5).describe('TTFT p95 over the other’s'),
    requestsMin: z.int().min(1).max(2_000).default(20).describe('A step with fewer waits another pause'),
  }),
  output: RolloutView,
  async run({ ctx, input }) {
    const { steps, badPointsMax, ttftRatioMax, requestsMin } = input;
    checkSteps(steps);
    const answer = await ctx.transaction(async (trx) => {
      const endpoint = await requireEndpoint(trx, scopeOf(ctx, input), input.endpointId);
      await holdEndpoint(trx, endpoint.id);
      await requireNoRollout(trx, endpoint.id);
      const { from, to } = await chosenOf(trx, endpoint.id, input);
      await requireUnits(trx, to);
      const nowMs = ctx.now();
      const row: Row<'rollouts'> = {
        id: ctx.newId('rollout'),
        tenant_id: endpoint.tenant_id,
        endpoint_id: endpoint.id,
        from_id: from.id,
        to_id: to.id,
        steps_json: JSON.stringify(steps),
        step: 0,
        pause_ms: input.pauseMs,
        guard_json: JSON.stringify({ badPointsMax, ttftRatioMax, requestsMin }),
        state: steps.length === 1 ? 'done' : 'running',
        reason: null,
        started_at_ms: nowMs,
        step_at_ms: nowMs,
        ended_at_ms: steps.length === 1 ? nowMs : null,
        next_due_ms: steps.length === 1 ? null : nowMs + input.pauseMs,
      };
      await trx.insertInto('rollouts').values(row).execute();
      await moveTraffic(trx, row, steps[0] ?? 100);
      await say(trx, ctx, row, steps);
      return rolloutView(trx, row);
    });
    ctx.changed();
    return answer;
  },
});

function say(trx: Trx, ctx: Ctx, row: Row<'rollouts'>, steps: readonly number[]): Promise<void> {
  const detail = { rolloutId: row.id, from: row.from_id, to: row.to_id, steps };
  return audit(trx, ctx, { verb: 'rollout.start', subject: row.endpoint_id, tenantId: row.tenant_id, detail });
}

function checkSteps(steps: readonly number[]): void {
  const grows = steps.every((step, i) => i === 0 || step > (steps[i - 1] ?? 0));
  if (!grows || steps.at(-1) !== 100) throw invalidField('steps', 'have to grow and end with 100');
}

async function chosenOf(
  trx: Trx,
  endpointId: string,
  { toServedModelId, fromServedModelId }: { toServedModelId: string; fromServedModelId?: string | undefined },
): Promise<Record<'from' | 'to', Row<'served_models'>>> {
  const rows = await trx.selectFrom('served_models').selectAll().where('endpoint_id', '=', endpointId).execute();
  const to = rows.find((row) => row.id === toServedModelId);
  const names = rows.map((row) => row.id).join(', ');
  if (to === undefined) throw invalidField('toServedModelId', `is none of this endpoint: ${names}`);
  const others = rows.filter((row) => row.id !== to.id && (fromServedModelId ?? row.id) === row.id);
  const [from] = others;
  if (from === undefined) throw invalidField('fromServedModelId', `has to be another of this endpoint: ${names}`);
  if (others.length > 1) throw invalidField('fromServedModelId', `say whose traffic it gets: ${names}`);
  return { from, to };
}

/** Throws `conflict`: what has no units serves nobody. */
async function requireUnits(trx: Trx, to: Row<'served_models'>): Promise<void> {
  const live = await trx
    .selectFrom('instance_groups')
    .select('id')
    .where('served_model_id', '=', to.id)
    .where('state', 'in', LIVE_GROUP_STATES)
    .executeTakeFirst();
  if (live !== undefined) return;
  throw new CubitError('conflict', `${to.id} has no model units. Order some first (cubit order new).`);
}
