import { request } from 'undici';
import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { BUDGETS_PATH } from '../../gateway/feed/wire.ts';
import type { BudgetLease, LeaseBudget } from '../../gateway/spill-budget.ts';

const ANSWER_MS_MAX = 5_000;
const endpointId = z.string().min(1).max(100);
const micros = z.number().min(-Number.MAX_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER);
const Question = z.union([
  z.strictObject({ endpointId, takeMicros: micros.nonnegative() }),
  z.strictObject({ endpointId, periodStartMs: z.int(), giveBackMicros: micros }),
]);

/** The control plane's end: a gateway in another process takes a part of a spill budget or gives one back. Throws `invalid_request`. */
export async function answerBudget(leases: LeaseBudget, body: unknown): Promise<object> {
  const parsed = Question.safeParse(body);
  if (!parsed.success) {
    throw new CubitError('invalid_request', 'This is no question about a spill budget.', { cause: parsed.error });
  }
  const { data } = parsed;
  if ('takeMicros' in data) return leases.lease(data.endpointId, data.takeMicros);
  await leases.giveBack(data.endpointId, data.periodStartMs, data.giveBackMicros);
  return {};
}

/**
 * The gateway's end. Neither is sent twice: after a lost answer the part stays counted as spent, so that less may be spent than
 * the budget, never more.
 */
export function remoteBudgets(url: string, token: string): LeaseBudget {
  async function ask(question: object): Promise<unknown> {
    const { statusCode, body } = await request(url + BUDGETS_PATH, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(question),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const text = await body.text();
    if (statusCode === 200) return JSON.parse(text);
    throw new CubitError('engine_unavailable', `The control plane answers ${statusCode}: ${text.slice(0, 300)}`);
  }
  return {
    lease: async (id, takeMicros) => (await ask({ endpointId: id, takeMicros })) as BudgetLease,
    giveBack: async (id, periodStartMs, giveBackMicros) =>
      void (await ask({ endpointId: id, periodStartMs, giveBackMicros })),
  };
}
