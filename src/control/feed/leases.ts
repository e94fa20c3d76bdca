import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import type { Counters } from '../../counters/port.ts';

const count = z.number().nonnegative();
const held = z.object({ used: count, want: count });
const Body = z.object({
  reports: z
    .array(
      z.object({
        servedModelId: z.string().min(1).max(200),
        report: z.object({
          gatewayId: z.string().min(1).max(100),
          spentUs: z.number(),
          unreportedUs: z.number(),
          wantUs: count,
          nextUs: count,
          levelUs: count,
          keys: z.record(z.string(), count),
          keyWeights: z.record(z.string(), z.number().positive()),
          sequences: held,
          kvTokens: held,
          units: count,
          capacityUs: count,
          sequencesMax: count,
          kvTokensMax: count,
        }),
      }),
    )
    .max(10_000),
});

/** What a gateway without Redis asks of the control process. Throws `invalid_request`. */
export async function grantLeases(counters: Counters, body: unknown): Promise<object> {
  const parsed = Body.safeParse(body);
  if (!parsed.success) {
    throw new CubitError('invalid_request', 'These are no reports of a gateway.', { cause: parsed.error });
  }
  return { leases: await counters.exchange(parsed.data.reports) };
}
