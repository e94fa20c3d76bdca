import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import type { ServedModelStats } from '../../gateway/gateway.ts';
import { SignalSum } from '../../scaler/signal-sum.ts';

const count = z.number().nonnegative();
const Report = z.object({
  gatewayId: z.string().min(1).max(100),
  servedModels: z
    .array(
      z.looseObject({
        servedModelId: z.string(),
        batchPerUnit: count,
        kvTokensPerUnit: count,
        kvTokens: count,
        queued: count,
        queuedUs: count,
        arrivals: count,
        arrivedUs: count,
        refused: count,
        completed: count,
        prefillUs: count,
        ttftMsSum: count,
        ttftCount: count,
        tpotMsSum: count,
        tpotCount: count,
        runningOn: z.array(z.tuple([z.string(), count])).transform((pairs) => new Map(pairs)),
      }),
    )
    .max(100_000),
});

/** What `REPORT_PATH` takes. */
export function reportOf(gatewayId: string, servedModels: readonly ServedModelStats[]): object {
  return {
    gatewayId,
    servedModels: servedModels.map(({ runningOn, ...stats }) => ({ ...stats, runningOn: [...runningOn] })),
  };
}

/** What the control plane knows of its gateways, in this process and in others. */
export class Gateways extends SignalSum {
  readonly #now: () => number;

  constructor(now: () => number) {
    super();
    this.#now = now;
  }

  /** Throws `invalid_request`. */
  report(body: unknown): void {
    const parsed = Report.safeParse(body);
    if (!parsed.success)
      throw new CubitError('invalid_request', 'This is no report of a gateway.', { cause: parsed.error });
    this.take(parsed.data.gatewayId, parsed.data.servedModels, this.#now());
  }
}
