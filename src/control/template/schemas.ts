import { z } from 'zod';
import { Template } from '../../catalog/schema.ts';
import { timeScaleOf } from '../snapshot.ts';
import type { Ctx } from '../verb.ts';

const Price = z.object({
  currency: z.string(),
  hourly: z.string().describe('Per unit and hour, a decimal number'),
  monthly: z.string().describe('Per unit and month, a decimal number'),
  version: z.string().describe('Of the price book'),
});

export const TemplateDetail = z.object({
  ...Template.pick({
    id: true,
    name: true,
    modelId: true,
    kind: true,
    roles: true,
    engine: true,
    kvTokensPerUnit: true,
    startupMs: true,
    profile: true,
    tiers: true,
  }).shape,
  timeScale: z
    .number()
    .nullable()
    .describe(
      'Times of its running units ÷ those of its profile, by the self-checks at their starts; null: none was checked',
    ),
  price: Price.nullable().describe('null: not for sale'),
  capacity: z
    .object({ freeUnits: z.int(), limit: z.string() })
    .nullable()
    .describe('Units that can be added now, and what limits them; null: no machine here runs it'),
});

export function templateView(ctx: Pick<Ctx, 'catalog' | 'fleet'>, template: Template): z.output<typeof TemplateDetail> {
  const { currency, version, prices } = ctx.catalog.priceBook;
  const price = prices.find((row) => row.templateId === template.id);
  const checked = ctx.fleet.list().filter((one) => one.templateId === template.id && one.timeScale !== null);
  const capacity = ctx.fleet.serves(template.id) ? ctx.fleet.capacity(template.id) : null;
  const replicasPerUnit = template.roles.length;
  return {
    ...template,
    timeScale: checked.length === 0 ? null : Math.round(timeScaleOf(checked) * 100) / 100,
    price: price === undefined ? null : { currency, version, hourly: price.hourly, monthly: price.monthly },
    capacity:
      capacity === null ? null : { freeUnits: Math.floor(capacity.free / replicasPerUnit), limit: capacity.limit },
  };
}
