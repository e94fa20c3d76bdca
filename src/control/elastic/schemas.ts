import { z } from 'zod';
import { ELASTIC_UNIT_STATES } from '../../core/commerce/elastic-unit.ts';
import { RULE_DEFAULTS, UNITS_MAX, WINDOWS_MAX } from '../../core/serving/scaling/rule.ts';
import { CRON_MINUTES_MAX } from '../../core/serving/scaling/schedule.ts';
import { Count, EpochMs, Id } from '../schemas.ts';

const Time = z.string().max(5).describe('HH:MM, in the zone');
const MinUnits = z.int().min(0).max(UNITS_MAX).describe('Units held while it lasts');

export const Window = z
  .discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('daily'), from: Time, to: Time, minUnits: MinUnits }),
    z.strictObject({
      kind: z.literal('weekly'),
      days: z.array(z.int()).max(7).describe('On which it begins: 1 = Monday … 7 = Sunday'),
      from: Time,
      to: Time,
      minUnits: MinUnits,
    }),
    z.strictObject({
      kind: z.literal('once'),
      date: z.string().max(10).describe('YYYY-MM-DD'),
      from: Time,
      to: Time,
      minUnits: MinUnits,
    }),
    z.strictObject({
      kind: z.literal('cron'),
      cron: z.string().max(100).describe('Five fields'),
      minutes: z.int().min(1).max(CRON_MINUTES_MAX),
      minUnits: MinUnits,
    }),
  ])
  .describe('`to` at or before `from` is on the day after');

/** What a tenant says of a rule; the rest is kept as it was, or as the defaults have it. */
export const RuleInput = {
  minUnits: z.int().min(0).max(UNITS_MAX).optional().describe("The group's base units; 0: to zero when nobody asks"),
  maxUnits: z.int().min(1).max(UNITS_MAX).describe('Base units and added ones together'),
  zone: z.string().max(64).optional().describe("IANA zone of the windows; the tenant's when left out"),
  windows: z.array(Window).max(WINDOWS_MAX).optional().describe('Overlaps: the highest minimum wins'),
  scaleInAfterMs: z
    .int()
    .optional()
    .describe(`Fewer units are needed for so long before one is given back; ${RULE_DEFAULTS.scaleInAfterMs}`),
  drainMsMax: z
    .int()
    .optional()
    .describe(`Running requests of such a unit have this long; ${RULE_DEFAULTS.drainMsMax}`),
  ttftMsMax: z.int().nullable().optional().describe('What is measured above it adds units'),
  tpotMsMax: z.int().nullable().optional().describe('What is measured above it adds units'),
};

export const RuleView = z.object({
  groupId: Id,
  minUnits: Count,
  maxUnits: Count,
  zone: z.string(),
  windows: z.array(Window),
  scaleInAfterMs: Count,
  drainMsMax: Count,
  ttftMsMax: Count.nullable(),
  tpotMsMax: Count.nullable(),
  changedAtMs: EpochMs,
  units: z
    .object({ base: Count, ready: Count, starting: Count, draining: Count })
    .describe('Now; base beside added ones'),
});

export const Decision = z.object({
  decisionId: Id,
  groupId: Id,
  atMs: EpochMs,
  unitsBefore: Count,
  unitsAfter: Count,
  cause: z.string(),
  sentence: z.string(),
  inputs: z.record(z.string(), z.number()),
});

export const AddedUnit = z.object({
  unitId: Id,
  groupId: Id,
  replicaId: Id,
  state: z.enum(ELASTIC_UNIT_STATES),
  launchedAtMs: EpochMs,
  readyAtMs: EpochMs.nullable().describe('Billed from then'),
  drainingAtMs: EpochMs.nullable().describe('Not billed from then'),
  endedAtMs: EpochMs.nullable(),
  failure: z.string().nullable(),
});

const PreviewOutcome = {
  cost: z.string().describe('At the price of today'),
  baseUnitHours: z.number(),
  addedUnitHours: z.number().describe('Of added units, from ready to the end of their drain'),
  unitsMin: Count,
  unitsMean: z.number(),
  unitsMax: Count,
  metShare: z.number().describe('Share of requests in time for the targets; 0 to 1'),
};

export const Preview = z.object({
  sentence: z.string(),
  hours: z.number().describe('That the figures are for'),
  targets: z.object({ ttftMs: z.number(), tpotMs: z.number() }),
  rule: z.object(PreviewOutcome),
  current: z.object(PreviewOutcome).nullable().describe('The rule that the group has'),
  fixed: z
    .object({ units: Count, ...PreviewOutcome })
    .nullable()
    .describe('The fewest units without scaling that are in time as often, at most for 99 %'),
  notes: z.array(z.string()),
});
