import { clockHourOf } from '../../core/commerce/term.ts';
import {
  NO_TOKENS_BILLED,
  plusTokens,
  type TokenLine,
  type TokenPrice,
  type TokenTerm,
  type TokenTotal,
  tokenLine,
} from '../../core/commerce/token-billing.ts';
import { CubitError } from '../../core/errors.ts';
import type { NewRow, Row } from '../../store/schema.ts';
import { unbilledUsage } from '../../store/token-usage.ts';
import type { Db } from '../internal.ts';
import { tokenPriceOf } from '../pool/price.ts';

type Usage = Awaited<ReturnType<typeof unbilledUsage>>[number];

/** What an endpoint that is paid by the token costs beyond its last bill. */
export interface TokenCharge extends TokenLine {
  readonly endpointId: string;
  readonly modelId: string;
  readonly requests: number;
  /** Of `requests`, those that came before `lateBeforeMs`: their own hour's bill was out when their receipts were written. */
  readonly lateRequests: number;
}

interface Span {
  readonly tenant: Pick<Row<'tenants'>, 'id' | 'zone' | 'currency'>;
  /** Requests that came before this are charged … */
  readonly toMs: number;
  /** … and those before this are late. */
  readonly lateBeforeMs: number;
}

/**
 * By tenant: what its endpoints cost by the token. Each quarter of an hour at the price of its own clock hour, so that a
 * late receipt costs what it would have cost in time. Throws `config_invalid` where the price book has no price.
 */
export async function tokenCharges(
  db: Db,
  spans: readonly Span[],
): Promise<ReadonlyMap<string, readonly TokenCharge[]>> {
  if (spans.length === 0) return new Map();
  const tenantIds = spans.map(({ tenant }) => tenant.id);
  const usage = await unbilledUsage(db, tenantIds, Math.max(...spans.map(({ toMs }) => toMs)));
  if (usage.length === 0) return new Map();
  const before = await totalsOf(db, [...new Set(usage.map((row) => row.endpoint_id))]);
  const byTenant = Map.groupBy(usage, (row) => row.tenant_id);
  const prices = new Prices(db);
  const charges = new Map<string, TokenCharge[]>();
  for (const span of spans) {
    const own = (byTenant.get(span.tenant.id) ?? []).filter((row) => row.quarter_ms < span.toMs);
    for (const [endpointId, rows] of Map.groupBy(own, (row) => row.endpoint_id)) {
      const terms = await termsOf(rows, span.tenant.zone, prices);
      const charge = chargeOf(rows, terms, before.get(endpointId) ?? NO_TOKENS_BILLED, span);
      charges.set(span.tenant.id, [...(charges.get(span.tenant.id) ?? []), charge]);
    }
  }
  return charges;
}

function chargeOf(rows: readonly Usage[], terms: readonly TokenTerm[], before: TokenTotal, span: Span): TokenCharge {
  const [first] = rows;
  const { tenant, lateBeforeMs } = span;
  const late = rows.filter((row) => row.quarter_ms < lateBeforeMs);
  return {
    endpointId: first!.endpoint_id,
    modelId: first!.model_id ?? '',
    requests: requestsOf(rows),
    lateRequests: requestsOf(late),
    ...tokenLine(terms, before, tenant.currency),
  };
}

function requestsOf(rows: readonly Usage[]): number {
  return rows.reduce((sum, row) => sum + row.requests, 0);
}

/** One term for each price. */
async function termsOf(rows: readonly Usage[], zone: string, prices: Prices): Promise<TokenTerm[]> {
  const terms = new Map<string, TokenTerm>();
  for (const row of rows) {
    const price = await prices.of(row, clockHourOf(row.quarter_ms, zone).fromMs);
    const key = `${price.version} ${price.inputMicros} ${price.cachedMicros} ${price.outputMicros}`;
    const counts = { inputTokens: row.input_tokens, cachedTokens: row.cached_tokens, outputTokens: row.output_tokens };
    const term = terms.get(key);
    terms.set(key, term === undefined ? { ...counts, price } : { ...plusTokens(term, counts), price });
  }
  return [...terms.values()];
}

/** Prices of models at hours, each looked up once. */
class Prices {
  readonly #db: Db;
  readonly #known = new Map<string, TokenPrice | null>();

  constructor(db: Db) {
    this.#db = db;
  }

  /** Throws `config_invalid` where there is none. */
  async of({ model_id: modelId, endpoint_id: endpointId }: Usage, hourFromMs: number): Promise<TokenPrice> {
    const key = `${modelId} ${hourFromMs}`;
    let price = this.#known.get(key);
    if (price === undefined) {
      price = modelId === null ? null : await tokenPriceOf(this.#db, modelId, hourFromMs);
      this.#known.set(key, price);
    }
    if (price !== null) return price;
    const message = `The price book has no token price of ${modelId}, and requests of ${endpointId} wait to be billed. Import one.`;
    throw new CubitError('config_invalid', message, { details: { modelId, endpointId } });
  }
}

/** The totals on the last line of each endpoint. */
async function totalsOf(db: Db, endpointIds: readonly string[]): Promise<ReadonlyMap<string, TokenTotal>> {
  const rows = await db
    .selectFrom('token_lines')
    .select(['endpoint_id', 'amount_total_micros', 'carry_picos'])
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('token_lines')
        .select((last) => last.fn.max<number>('id').as('id'))
        .where('endpoint_id', 'in', endpointIds)
        .groupBy('endpoint_id'),
    )
    .execute();
  return new Map(
    rows.map((row) => [row.endpoint_id, { amountMicros: row.amount_total_micros, carryPicos: row.carry_picos }]),
  );
}

export function tokenRow(billId: string, charge: TokenCharge): NewRow<'token_lines'> {
  return {
    bill_id: billId,
    endpoint_id: charge.endpointId,
    model_id: charge.modelId,
    requests: charge.requests,
    late_requests: charge.lateRequests,
    input_tokens: charge.inputTokens,
    cached_tokens: charge.cachedTokens,
    output_tokens: charge.outputTokens,
    amount_micros: charge.amountMicros,
    amount_total_micros: charge.total.amountMicros,
    carry_picos: charge.total.carryPicos,
    arithmetic: charge.arithmetic,
  };
}
