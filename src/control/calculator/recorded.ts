import { CubitError } from '../../core/errors.ts';
import { invalidField } from '../input.ts';
import { type Db, requireEndpoint, scopeOf } from '../internal.ts';
import type { Ctx } from '../verb.ts';
import type { CalculatorQuestion } from './schemas.ts';
import type { TraceRow } from './traffic.ts';

const DAY_MS = 86_400_000;
const SPAN_MS_DEFAULT = 7 * DAY_MS;
const SPAN_MS_MAX = 31 * DAY_MS;
/** The newest are read; more say no more about lengths and the day's shape. */
const RECEIPTS_MAX = 20_000;

export interface Recorded {
  readonly modelId: string;
  readonly rows: readonly TraceRow[];
  readonly newestOnly: boolean;
}

/** What an endpoint answered whole, of one of its models. Throws `not_found`, `invalid_request`. */
export async function recordedUsage(ctx: Ctx, question: CalculatorQuestion, idOrName: string): Promise<Recorded> {
  const toMs = question.toMs ?? ctx.now() + 1;
  const fromMs = question.fromMs ?? toMs - SPAN_MS_DEFAULT;
  if (fromMs > toMs || toMs - fromMs > SPAN_MS_MAX) throw invalidField('fromMs', 'at most 31 days before toMs');
  const endpoint = await requireEndpoint(ctx.db, scopeOf(ctx, question), idOrName);
  const served = await servedModel(ctx.db, endpoint.id, question.modelId);
  const receipts = await ctx.db
    .selectFrom('receipts')
    .select(['received_at_ms', 'prompt_tokens', 'cached_tokens', 'output_tokens'])
    .where('endpoint_id', '=', endpoint.id)
    .where('served_model_id', '=', served.id)
    .where('outcome', '=', 'completed')
    .where('kind', '!=', 'embedding')
    .where('received_at_ms', '>=', fromMs)
    .where('received_at_ms', '<', toMs)
    .orderBy('received_at_ms', 'desc')
    .limit(RECEIPTS_MAX)
    .execute();
  if (receipts.length < 2) {
    throw new CubitError(
      'invalid_request',
      `${endpoint.name} has ${receipts.length} completed requests of ${served.model_id} in that time: too few to say what comes. ` +
        'Give averages instead.',
    );
  }
  const rows = receipts.toReversed().map((receipt) => ({
    atMs: receipt.received_at_ms,
    promptTokens: receipt.prompt_tokens,
    cachedTokens: Math.min(receipt.cached_tokens, receipt.prompt_tokens),
    outputTokens: receipt.output_tokens,
  }));
  return { modelId: served.model_id, rows, newestOnly: receipts.length === RECEIPTS_MAX };
}

async function servedModel(db: Db, endpointId: string, modelId: string | undefined) {
  const served = await db
    .selectFrom('served_models')
    .select(['id', 'model_id'])
    .where('endpoint_id', '=', endpointId)
    .orderBy('model_id')
    .execute();
  const [only] = modelId === undefined ? served : served.filter((row) => row.model_id === modelId);
  if (only !== undefined && (modelId !== undefined || served.length === 1)) return only;
  throw invalidField(
    'modelId',
    `say one of those that the endpoint serves: ${served.map((row) => row.model_id).join(', ')}`,
  );
}
