import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import type { Gateway, ServedModelStats } from '../../gateway/gateway.ts';
import { SignalSum } from '../../scaler/signal-sum.ts';

const GATEWAYS_MAX = 1_000;
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

const OWN = 'own';

/** What the control plane knows of its gateways: the one in this process, and those in others by their reports. */
export class Gateways {
  readonly #sum = new SignalSum();
  readonly #own: Pick<Gateway, 'stats' | 'runningOn'>;
  readonly #now: () => number;

  constructor(own: Pick<Gateway, 'stats' | 'runningOn'>, now: () => number) {
    this.#own = own;
    this.#now = now;
  }

  /** Takes a report of another process. Throws `invalid_request`. */
  report(body: unknown): void {
    const parsed = Report.safeParse(body);
    if (!parsed.success) {
      throw new CubitError('invalid_request', 'This is no report of a gateway.', { cause: parsed.error });
    }
    const { gatewayId, servedModels } = parsed.data;
    if (this.#sum.count(this.#now(), gatewayId) > GATEWAYS_MAX) {
      throw new CubitError('capacity_exhausted', 'Too many gateways report already.');
    }
    this.#sum.take(gatewayId, servedModels, this.#now());
  }

  /** As of one gateway, for scaling. */
  signals() {
    this.#sum.take(OWN, this.#own.stats().servedModels, this.#now());
    return this.#sum.read(this.#now());
  }

  runningOn(replicaId: string): number | null {
    const own = this.#own.runningOn(replicaId);
    const others = this.#sum.runningOn(replicaId, this.#now(), OWN);
    return own === null && others === null ? null : (own ?? 0) + (others ?? 0);
  }
}
