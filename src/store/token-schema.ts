import type { Generated } from 'kysely';

/** Tables of pay per token, by the rules of `schema.ts`. */
export interface TokenTables {
  /** Units that the operator runs for all tenants who pay a model by the token. At most one of a model is not removed. */
  pools: {
    id: string;
    model_id: string;
    template_id: string;
    /** Elasticity coefficient of the tier. */
    coefficient: number;
    units: number;
    /** What a tenant may send a minute who has no limits of its own. */
    requests_per_minute: number;
    tokens_per_minute: number;
    created_at_ms: number;
    removed_at_ms: number | null;
  };
  /** A tenant's own limits on a model's pool. */
  token_limits: {
    tenant_id: string;
    model_id: string;
    requests_per_minute: number;
    tokens_per_minute: number;
    set_at_ms: number;
  };
  /** Asked by a tenant, decided by the operator. At most one of a tenant and model is open. */
  limit_requests: {
    id: string;
    tenant_id: string;
    model_id: string;
    requests_per_minute: number;
    tokens_per_minute: number;
    reason: string;
    state: 'open' | 'approved' | 'refused';
    /** The operator's, to the tenant. */
    note: string | null;
    created_at_ms: number;
    decided_at_ms: number | null;
  };
  /**
   * Paid tokens that are on no bill yet, by the quarter of an hour in which their requests came: every zone's hours are
   * made of these. Counted up in the transaction that writes the receipts, taken away in the one that writes the bill:
   * so each receipt is billed once, however late it is, and nothing that is billed is read again.
   */
  token_usage: {
    tenant_id: string;
    endpoint_id: string;
    pool_id: string;
    quarter_ms: number;
    requests: number;
    /** Prompt tokens that were not cached. */
    input_tokens: number;
    cached_tokens: number;
    output_tokens: number;
  };
  /** Lines of bills for endpoints that are paid by the token. Never updated. */
  token_lines: {
    id: Generated<number>;
    bill_id: string;
    endpoint_id: string;
    model_id: string;
    requests: number;
    /** Of `requests`, those of hours before: their receipts came after those hours' bill. */
    late_requests: number;
    input_tokens: number;
    cached_tokens: number;
    output_tokens: number;
    amount_micros: bigint;
    /** Of the endpoint since its start, after this line: lines are differences of these. */
    amount_total_micros: bigint;
    /** What rounding left over of that, in millionths of a micro. */
    carry_picos: number;
    /** The sum written out, for people. */
    arithmetic: string;
  };
}
