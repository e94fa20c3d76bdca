import { z } from 'zod';
import { Count, EpochMs, Id, Money, TenantFilter } from '../schemas.ts';

const Tokens = z.number().nonnegative().max(1e8);

/** Rows that fit into one body; the CLI calculates longer traces itself. */
export const TRACE_ROWS_MAX = 10_000;

const Lengths = {
  promptTokens: Tokens,
  outputTokens: Tokens,
  cachedTokens: Tokens.default(0).describe('Of the prompt, from a prefix cache'),
};

export const CalculatorInput = z.strictObject({
  tenantId: TenantFilter,
  modelId: Id.optional().describe('Model to calculate for; with endpointId its only one'),
  requestsPerMinute: z.number().optional().describe('Mean over the day; goes with promptTokens or histogram'),
  promptTokens: Tokens.optional().describe('Mean input of a request'),
  outputTokens: Tokens.optional().describe('Mean output of a request'),
  cachedShare: z.number().default(0).describe('Share of the input that a prefix cache serves, 0 to 1'),
  spread: z.number().min(0).max(5).default(0).describe('How lengths vary: standard deviation over mean; 0 = all alike'),
  histogram: z
    .array(z.strictObject({ ...Lengths, weight: z.number().positive() }))
    .max(TRACE_ROWS_MAX)
    .optional()
    .describe('Lengths and how many requests have them, instead of means'),
  trace: z
    .array(z.strictObject({ atMs: z.number(), ...Lengths, blocks: z.array(Count).exactOptional() }))
    .max(TRACE_ROWS_MAX)
    .optional()
    .describe('Requests one by one; checked by simulation'),
  blockTokens: Count.default(0).describe('Tokens that one of the trace’s blocks stands for'),
  endpointId: Id.optional().describe('Take what this endpoint served, by id or name'),
  fromMs: EpochMs.optional().describe('Usage from here; seven days before toMs when left out'),
  toMs: EpochMs.optional().describe('Usage before this; now when left out'),
  hourlyFactors: z.array(z.number()).optional().describe('The day’s shape: 24 numbers, of any scale'),
  ttftMs: z.number().optional().describe('Time to the first token to reach, ms'),
  tpotMs: z.number().optional().describe('Time per token to reach, ms'),
  percentile: z.enum(['p50', 'p95']).default('p95').describe('Of requests that have to reach it'),
  coefficient: z.number().optional().describe('Only tiers of this elasticity coefficient'),
  loraFactor: z.number().default(1).describe('Work with a LoRA adapter over that without'),
  loraRank: z
    .int()
    .positive()
    .max(1_024)
    .optional()
    .describe('Instead: the rank, as `cubit profile --adapter` measured it'),
  machineTypeId: Id.optional().describe('Calculate from facts for this machine type instead of the templates'),
  machine: z
    .strictObject({
      name: z.string().min(1).max(100).default('the given machine'),
      accelerators: z.int().positive().max(1_024).default(1),
      memoryBytes: z.number().positive().max(1e15),
      bandwidthBytesPerS: z.number().positive().max(1e18),
      flopsPerS: z.number().positive().max(1e21),
      linkBytesPerS: z.number().positive().max(1e18).nullable().default(null),
    })
    .optional()
    .describe('The same for hardware that is not in the catalogue: facts of one accelerator'),
});

export type CalculatorQuestion = z.output<typeof CalculatorInput>;

const Latency = z.object({ mean: z.number(), p50: z.number(), p95: z.number() });
const Band = z.object({ half: z.number(), threeQuarters: z.number(), nineTenths: z.number() });

const Plan = z.object({
  templateId: z.string(),
  coefficient: z.number(),
  batch: Count.describe('Sequences a unit decodes together (B*)'),
  units: Count.nullable().describe('null: no number of them reaches the targets'),
  unitsRange: z.tuple([Count, Count]).nullable().describe('If the prediction is off by its nine-tenths band'),
  limit: z.enum(['work', 'batch', 'kv', 'ttft', 'tpot']).describe('What decides how much a unit carries'),
  missed: z.array(
    z.object({
      figure: z.enum(['ttft', 'tpot']),
      targetMs: z.number(),
      reachedMs: z.number(),
      over: z.number().describe('Share by which one request alone misses it'),
    }),
  ),
  utilisation: z.number().nullable().describe('In the busiest hour, of 1'),
  ttftMs: Latency.nullable(),
  tpotMs: Latency.nullable(),
  concurrency: z.number().nullable().describe('Requests in flight on all units, mean'),
  concurrencyMax: Count.nullable(),
  kvShare: z.number().nullable().describe('KV cache in use, of 1'),
  ratedRequestsPerS: z.number().describe('What one unit carries at full use, at these lengths'),
  ratedTokensPerS: z.number().describe('The same in input and output tokens'),
  ratedTokensPerSTenToOne: z.number().describe('The same at 10 : 1, 2,000 input and 200 output tokens where they fit'),
  unitsByHour: z.array(Count).nullable(),
  cost: z
    .object({
      hourly: Money.describe('Of the busiest hour, postpaid'),
      monthlyPrepaid: Money,
      monthlyPostpaid: Money.describe('730 hours, each with the units that it needs'),
      monthlyCheapest: Money,
      prepaidUnits: Count,
      postpaidUnitsMax: Count,
      postpaidUnitHours: z.number().describe('In a month'),
      breakEvenHours: z.number().describe('Hours a month from which a month’s price is cheaper'),
      perMillionTokens: Money.describe('Cheapest mix over input and output tokens'),
    })
    .nullable()
    .describe('null: not for sale'),
  unitsWithoutCache: Count.nullable(),
  unitsWithoutLora: Count.nullable(),
  confidence: z.object({
    provenance: z.enum(['measured_here', 'measured_elsewhere', 'facts']),
    tpot: Band,
    ttft: Band,
  }),
});

export const CalculatorAnswer = z.object({
  modelId: z.string(),
  requestsPerS: z.number().describe('Mean over the day'),
  requestsPerSPeak: z.number().describe('In the busiest hour'),
  promptTokens: z.number().describe('Mean'),
  outputTokens: z.number().describe('Mean'),
  cachedShare: z.number(),
  notes: z.array(z.string()).describe('What was mended or left out, for people'),
  plans: z.array(Plan),
  unfit: z.array(z.object({ templateId: z.string(), contextTokens: Count, refusedShare: z.number() })),
  best: Plan.nullable().describe('The cheapest that meets everything; null when none does'),
  nearest: Plan.nullable().describe('When none does: the one that comes nearest'),
  simulation: z
    .object({
      units: Count.describe('That the simulated trace needs'),
      formulaUnits: Count.describe('That formulas found, which take evenly random arrivals'),
      meets: z.boolean(),
      ttftMs: Latency,
      tpotMs: Latency.nullable(),
      cachedShare: z.number(),
      preemptions: Count,
    })
    .nullable()
    .describe('The trace itself, step by step; `best` has its units. null without a trace'),
  clouds: z.array(
    z.object({
      cloud: z.string(),
      model: z.string(),
      unit: z.string(),
      exact: z.number().nullable(),
      sizes: z.array(z.object({ name: z.string(), units: Count })),
      reason: z.string().nullable().describe('Why there is no figure'),
    }),
  ),
  computedInMs: z.number(),
});

export type CalculatorAnswer = z.output<typeof CalculatorAnswer>;
