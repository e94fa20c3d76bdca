import { z } from 'zod';

/** How clouds count provisioned throughput (`catalog/clouds.json`): facts with source and date; core/serving/clouds.ts counts. */
const weight = z.number().nonnegative();
const count = z.int().positive();
const Weights = z.strictObject({
  input: weight.optional(),
  cached: weight.optional(),
  audio: weight.optional(),
  output: weight.optional(),
});

const CloudModel = z.strictObject({
  id: z.string().min(1),
  /** Weighted tokens that one unit carries in the window. */
  tokensPerUnit: z.number().positive(),
  weights: Weights,
  longContext: z
    .strictObject({
      kind: z.enum(['whole_request', 'marginal']),
      /** Ascending. */
      tiers: z.array(z.strictObject({ aboveTokens: count, weights: Weights })).min(1),
    })
    .optional(),
  /** Where a cloud only publishes what a unit carries at one shape. */
  onlyAt: z.strictObject({ input: count, output: count }).optional(),
  sizes: z.array(z.strictObject({ name: z.string().min(1), minimum: count, step: count })).min(1),
});

export const Cloud = z.strictObject({
  id: z.string().min(1),
  name: z.string().min(1),
  unit: z.string().min(1),
  /** What `tokensPerUnit` counts, for people. */
  perUnit: z.string().min(1),
  /** The cloud counts tokens per minute (60) or per second (1). */
  windowS: z.union([z.literal(1), z.literal(60)]),
  checkedOn: z.iso.date(),
  sources: z.array(z.string().min(1)).min(1),
  models: z.array(CloudModel).min(1),
});

export type Cloud = z.output<typeof Cloud>;
