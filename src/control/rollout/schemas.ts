import { z } from 'zod';
import { judge, type RolloutGuard } from '../../core/serving/rollout.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, notFound } from '../internal.ts';
import { Count, EpochMs, Id } from '../schemas.ts';
import { sampleOf } from './sample.ts';

const Sample = z.object({
  requests: Count,
  bad: Count.describe('Refused for want of a place, failed, broken off'),
  ttftP95Ms: z.number().nullable().describe('Waiting included'),
});

export const RolloutView = z.object({
  rolloutId: Id,
  endpointId: Id,
  toServedModelId: Id.describe('Gets the traffic'),
  fromServedModelId: Id,
  state: z.enum(['running', 'done', 'aborted', 'taken_back']),
  steps: z.array(z.int()).describe('Percentages of the traffic that both have'),
  percent: z.int().describe('Where it is'),
  pauseMs: z.int(),
  badPointsMax: z.number(),
  ttftRatioMax: z.number(),
  requestsMin: z.int(),
  reason: z.string().nullable().describe('Why it was aborted'),
  startedAtMs: EpochMs,
  stepAtMs: EpochMs,
  nextStepAtMs: EpochMs.nullable().describe('When it is looked at next'),
  endedAtMs: EpochMs.nullable(),
  to: Sample.describe('Since the present step began'),
  from: Sample,
  verdict: z.enum(['wait', 'go', 'abort']).describe('What would be decided now; wait: too few requests'),
});

export function guardOf(row: Row<'rollouts'>): RolloutGuard {
  return JSON.parse(row.guard_json) as RolloutGuard;
}

export function stepsOf(row: Row<'rollouts'>): number[] {
  return JSON.parse(row.steps_json) as number[];
}

export async function rolloutView(db: Db, row: Row<'rollouts'>): Promise<z.output<typeof RolloutView>> {
  const to = await sampleOf(db, row, row.to_id);
  const from = await sampleOf(db, row, row.from_id);
  const guard = guardOf(row);
  const steps = stepsOf(row);
  const isBack = row.state === 'aborted' || row.state === 'taken_back';
  return {
    rolloutId: row.id,
    endpointId: row.endpoint_id,
    toServedModelId: row.to_id,
    fromServedModelId: row.from_id,
    state: row.state,
    steps,
    percent: isBack ? 0 : (steps[row.step] ?? 100),
    pauseMs: row.pause_ms,
    ...guard,
    reason: row.reason,
    startedAtMs: row.started_at_ms,
    stepAtMs: row.step_at_ms,
    nextStepAtMs: row.next_due_ms,
    endedAtMs: row.ended_at_ms,
    to,
    from,
    verdict: judge(to, from, guard).kind,
  };
}

/** The last of an endpoint. Throws `not_found`. */
export async function lastRollout(db: Db, endpointId: string): Promise<Row<'rollouts'>> {
  const row = await db
    .selectFrom('rollouts')
    .selectAll()
    .where('endpoint_id', '=', endpointId)
    .orderBy('started_at_ms', 'desc')
    .orderBy('id', 'desc')
    .executeTakeFirst();
  if (row === undefined) throw notFound('rollout of endpoint', endpointId);
  return row;
}
