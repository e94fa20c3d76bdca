import { z } from 'zod';
import type { Template } from '../../catalog/schema.ts';
import { formatMicros, roundHalfEven } from '../../core/commerce/money.ts';
import { CubitError } from '../../core/errors.ts';
import type { PreviewOutcome } from '../../sim/rule-preview.ts';
import { unitOfTemplate } from '../../sim/template-unit.ts';
import { CUBIT_BLOCK_TOKENS } from '../../workload/cubit.ts';
import { invalidField } from '../input.ts';
import { LIVE_GROUP_STATES, requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { priceOf } from '../order/price.ts';
import { bookAt } from '../price-book/book.ts';
import { Id } from '../schemas.ts';
import { type Ctx, defineVerb } from '../verb.ts';
import { type PreviewAnswer, PreviewThread } from './preview-thread.ts';
import { type RecordedSpan, recordedSpans } from './preview-traffic.ts';
import { checkedRule, ruleOf } from './rule.ts';
import { Preview, RuleInput } from './schemas.ts';

const HOUR_MS = 3_600_000;
const TRACE_CHARS_MAX = 900_000;
const UNITS_TRIED_MAX = 500;
/** Where neither rule nor tier says: what people feel as at once, and faster than they read. */
const TTFT_MS = 2_000;
const TPOT_MS = 60;

/** One of each installation. */
const threads = new WeakMap<Ctx['fleet'], PreviewThread>();

export const rulePreview = defineVerb({
  name: 'rule.preview',
  summary: 'What an elastic rule would have cost and how often it had met its targets, on recorded traffic.',
  access: 'view',
  route: { method: 'POST', path: '/groups/{groupId}/rule/preview' },
  input: z.strictObject({
    groupId: Id,
    trace: z
      .string()
      .min(1)
      .max(TRACE_CHARS_MAX)
      .meta({ contentMediaType: 'text/plain' })
      .optional()
      .describe('Text of a trace that counts instead of what was recorded: cubit usage export, Mooncake, Azure'),
    ...RuleInput,
    hours: z.int().min(1).max(336).default(168).describe('How far back recorded traffic is taken'),
    requestsMax: z
      .int()
      .min(100)
      .max(50_000)
      .default(10_000)
      .describe('More traffic is sampled by blocks of two hours'),
  }),
  output: Preview,
  async run({ ctx, input }) {
    const { groupId, hours, requestsMax, trace = null, ...wanted } = input;
    const group = await requireGroup(ctx.db, scopeOf(ctx), groupId);
    const tenant = await requireTenant(ctx.db, group.tenant_id);
    const before = await ruleOf(ctx.db, groupId);
    const rule = checkedRule(before ?? { zone: tenant.zone, minUnits: group.units }, wanted);
    const template = ctx.catalog.templates.get(group.template_id);
    if (template === undefined) throw invalidField('groupId', `${group.template_id} has left the catalogue`);
    const { hourlyPriceMicros } = priceOf(await bookAt(ctx.db, ctx.catalog, ctx.now()), template.id);
    const toMs = ctx.now();
    const span = { fromMs: toMs - hours * HOUR_MS, toMs };
    const of = { scope: group.tenant_id, endpointId: group.endpoint_id, servedModelId: group.served_model_id };
    const spans = trace === null ? await recordedSpans(ctx.db, { ...of, ...span }, requestsMax) : [];
    if (trace === null && spans.length === 0) throw noHistory(groupId, hours);
    const setting = await settingOf(ctx, group.served_model_id, template, groupId);
    const target = targetsOf(template, setting.coefficient, rule);
    const job = { spans, trace, traceToMs: toMs, rule, before, unitsMax: Math.min(UNITS_TRIED_MAX, 2 * rule.maxUnits) };
    const thread = threads.get(ctx.fleet) ?? new PreviewThread();
    threads.set(ctx.fleet, thread);
    const answer = await thread.run({ ...job, ...setting, slo: target });
    const money = { currency: tenant.currency, hourlyPriceMicros };
    return viewOf(answer, money, { ttftMs: target.ttftMs, tpotMs: target.tpotMs }, spans);
  },
});

function noHistory(groupId: string, hours: number): CubitError {
  const message = `No request came for group ${groupId} in the last ${hours} hours, so nothing can be said of a rule. Give a trace file: cubit rule preview ${groupId} trace.jsonl --max-units …`;
  return new CubitError('not_found', message, { details: { groupId, hours } });
}

/** The unit at the group's tier, and what serves beside the group. */
async function settingOf({ db }: Ctx, servedModelId: string, template: Template, groupId: string) {
  const { coefficient, max_wait_ms, overflow_policy } = await db
    .selectFrom('served_models')
    .innerJoin('endpoints', 'endpoints.id', 'served_models.endpoint_id')
    .select(['coefficient', 'max_wait_ms', 'overflow_policy'])
    .where('served_models.id', '=', servedModelId)
    .executeTakeFirstOrThrow();
  const others = await db
    .selectFrom('instance_groups')
    .select('units')
    .where('served_model_id', '=', servedModelId)
    .where('id', '!=', groupId)
    .where('state', 'in', LIVE_GROUP_STATES)
    .execute();
  return {
    coefficient,
    unit: unitOfTemplate(template, { batch: tierOf(template, coefficient).batch, blockTokens: CUBIT_BLOCK_TOKENS }),
    startupMs: template.startupMs,
    waitMsMax: overflow_policy === 'reject' ? 0 : max_wait_ms,
    otherUnits: others.reduce((sum, { units }) => sum + units, 0),
  };
}

function tierOf({ tiers }: Template, coefficient: number) {
  const distance = (tier: (typeof tiers)[number]) => Math.abs(tier.coefficient - coefficient);
  return tiers.reduce((best, tier) => (distance(tier) < distance(best) ? tier : best));
}

/** The rule's own targets; else the tier's 95th percentiles, TTFT beside what the prompt alone takes twice. */
function targetsOf(
  template: Template,
  coefficient: number,
  { tpotMsMax, ttftMsMax }: { readonly ttftMsMax: number | null; readonly tpotMsMax: number | null },
) {
  const tier = tierOf(template, coefficient);
  return {
    ttftMs: ttftMsMax ?? tier.ttftMs?.p95 ?? TTFT_MS,
    ttftPrefillFactor: ttftMsMax === null ? 2 : 0,
    tpotMs: tpotMsMax ?? tier.tpotMs?.p95 ?? TPOT_MS,
  };
}

interface Price {
  readonly currency: string;
  readonly hourlyPriceMicros: bigint;
}

function viewOf(
  answer: PreviewAnswer,
  price: Price,
  targets: { readonly ttftMs: number; readonly tpotMs: number },
  spans: readonly RecordedSpan[],
): z.output<typeof Preview> {
  const rule = outcomeOf(answer.rule, price);
  const current = answer.before === null ? null : outcomeOf(answer.before, price);
  const fixed = answer.fixed === null ? null : { units: answer.fixed.units, ...outcomeOf(answer.fixed.outcome, price) };
  const hours = answer.coveredMs / HOUR_MS;
  const parts = [
    `In ${hours.toFixed(1)} h of traffic this rule would have cost ${rule.cost} ${price.currency} (${rule.unitsMean} units on average, at most ${rule.unitsMax}) and met the targets for ${percent(rule.metShare)} of requests.`,
    current === null ? '' : `The rule of today: ${current.cost} ${price.currency} and ${percent(current.metShare)}.`,
    fixed === null
      ? `No fixed number of units that was tried meets them for ${percent(answer.metShareWanted)}.`
      : `The fewest fixed units that meet them for ${percent(answer.metShareWanted)} are ${fixed.units}: ${fixed.cost} ${price.currency}.`,
  ];
  const isSample = spans.length > 1 || (spans[0]?.warmUpMs ?? 0) > 0;
  const notes = [
    ...(isSample
      ? [
          `a sample: ${answer.simulatedRequests} requests of ${(answer.simulatedMs / HOUR_MS).toFixed(1)} h stand for all`,
        ]
      : []),
    ...(rule.unitsMin === 0 && rule.metShare < 1 ? ['requests that wait for a first unit are counted as late'] : []),
    ...answer.repairs,
  ];
  const sentence = parts.filter((part) => part !== '').join(' ');
  return { sentence, hours, targets, rule, current, fixed, notes };
}

function percent(share: number): string {
  return `${(Math.floor(share * 1_000) / 10).toFixed(1)} %`;
}

function outcomeOf(outcome: PreviewOutcome, { hourlyPriceMicros }: Price) {
  const round = (value: number) => Math.round(value * 1_000) / 1_000;
  const unitSeconds = BigInt(Math.round((outcome.baseUnitHours + outcome.addedUnitHours) * 3_600));
  return {
    cost: formatMicros(roundHalfEven(unitSeconds * hourlyPriceMicros, 3_600n)),
    baseUnitHours: round(outcome.baseUnitHours),
    addedUnitHours: round(outcome.addedUnitHours),
    unitsMin: outcome.unitsMin,
    unitsMean: round(outcome.unitsMean),
    unitsMax: outcome.unitsMax,
    metShare: Math.round(outcome.metShare * 1e5) / 1e5,
  };
}
