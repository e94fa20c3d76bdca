/** Tables of overflow and rollouts, by the rules of `schema.ts`. */
export interface OverflowTables {
  /** How an endpoint overflows beyond `endpoints.overflow_policy` and `max_wait_ms`: `control/overflow/config.ts`. */
  overflows: {
    endpoint_id: string;
    tenant_id: string;
    config_json: string;
    changed_at_ms: number;
  };
  /** OpenAI-compatible servers that a tenant pays somebody else for. */
  upstreams: {
    id: string;
    tenant_id: string;
    name: string;
    base_url: string;
    /** The model's name there. */
    model: string;
    /** Never shown. Gone, as the row is kept, once it is removed. */
    api_key: string | null;
    /** Per million tokens, in the tenant's currency. */
    input_micros: bigint;
    cached_micros: bigint;
    output_micros: bigint;
    context_tokens: number;
    /** Of an answer whose request does not say. */
    output_tokens_max: number;
    concurrency_max: number;
    created_at_ms: number;
    removed_at_ms: number | null;
  };
  /** What of an endpoint's spill budget gateways have taken in a day or month: spent, or theirs to spend. */
  spill_budgets: {
    endpoint_id: string;
    period_start_ms: number;
    leased_micros: bigint;
    /** The last time that there was not enough left. */
    refused_at_ms: number | null;
  };
  /** A served model taken from one share of its endpoint's traffic to all of it. One that runs for each endpoint. */
  rollouts: {
    id: string;
    tenant_id: string;
    endpoint_id: string;
    from_id: string;
    to_id: string;
    /** Percentages of `to`, growing. */
    steps_json: string;
    /** Index of the present one. */
    step: number;
    pause_ms: number;
    guard_json: string;
    state: 'running' | 'done' | 'aborted' | 'taken_back';
    /** Of an abort, for people. */
    reason: string | null;
    started_at_ms: number;
    step_at_ms: number;
    ended_at_ms: number | null;
    next_due_ms: number | null;
  };
}
