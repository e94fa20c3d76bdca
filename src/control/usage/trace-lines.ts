import { createHash } from 'node:crypto';
import type { Outcome } from '../../core/serving/outcome.ts';
import type { Row } from '../../store/schema.ts';
import type { CubitLine } from '../../workload/cubit.ts';
import type { Db } from '../internal.ts';

export interface TrafficWanted {
  /** null: of all tenants. */
  readonly scope: string | null;
  readonly endpointId?: string | undefined;
  readonly servedModelId?: string | undefined;
  /** Received in [fromMs, toMs). */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Where the page before ended. */
export interface TrafficPlace {
  readonly atMs: number;
  readonly id: string;
}

/** What asked for capacity, whatever became of it: not what was malformed, from nobody, or only a question. */
export const TRAFFIC_OUTCOMES = [
  'completed',
  'cancelled',
  'rejected_capacity',
  'rejected_unready',
  'expired',
  'failed',
  'interrupted',
] as const satisfies readonly Outcome[];

/** Of these nobody knows how long the answer would have been. */
const UNANSWERED: ReadonlySet<Outcome> = new Set(['rejected_capacity', 'rejected_unready', 'expired', 'failed']);

const COLUMNS = [
  'id',
  'key_id',
  'endpoint_id',
  'outcome',
  'prompt_tokens',
  'cached_tokens',
  'output_tokens',
  'received_at_ms',
] as const;

export type TrafficRow = Pick<Row<'receipts'>, (typeof COLUMNS)[number]>;

/** Receipts of traffic behind a place, oldest first, at most `limit`. */
export async function trafficRows(
  db: Db,
  { endpointId, fromMs, scope, servedModelId, toMs }: TrafficWanted,
  after: TrafficPlace | null,
  limit: number,
): Promise<TrafficRow[]> {
  return db
    .selectFrom('receipts')
    .select(COLUMNS)
    .where('received_at_ms', '>=', after?.atMs ?? fromMs)
    .where('received_at_ms', '<', toMs)
    .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
    .$if(endpointId !== undefined, (query) => query.where('endpoint_id', '=', endpointId ?? ''))
    .$if(servedModelId !== undefined, (query) => query.where('served_model_id', '=', servedModelId ?? ''))
    .$if(after !== null, (query) =>
      query.where(({ and, eb, or }) =>
        or([
          eb('received_at_ms', '>', after?.atMs ?? 0),
          and([eb('received_at_ms', '=', after?.atMs ?? 0), eb('id', '>', after?.id ?? '')]),
        ]),
      ),
    )
    .where('outcome', 'in', TRAFFIC_OUTCOMES)
    .orderBy('received_at_ms')
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** `hashed`: ids can be told apart, not looked up. */
export function cubitLineOf(row: TrafficRow, hashed: boolean): CubitLine {
  const name = (id: string) => (hashed ? createHash('sha256').update(id).digest('hex').slice(0, 12) : id);
  const unanswered = UNANSWERED.has(row.outcome);
  return {
    atMs: row.received_at_ms,
    promptTokens: unanswered && row.prompt_tokens === 0 ? null : row.prompt_tokens,
    cachedTokens: Math.min(row.cached_tokens, row.prompt_tokens),
    outputTokens: unanswered ? null : row.output_tokens,
    key: name(row.key_id),
    endpoint: name(row.endpoint_id ?? ''),
  };
}
