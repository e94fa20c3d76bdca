import type { ColumnType, Generated, Insertable, Selectable } from 'kysely';
import type { GroupState } from '../core/commerce/group.ts';
import type { PostingKind } from '../core/commerce/ledger.ts';
import type { NoticeKind } from '../core/commerce/notice.ts';
import type { KeyRole } from '../core/roles.ts';
import type { Outcome } from '../core/serving/outcome.ts';
import type { ElasticTables } from './elastic-schema.ts';
import type { GateTables } from './gate-schema.ts';
import type { ModelTables } from './model-schema.ts';
import type { NoticeTables } from './notice-schema.ts';
import type { OverflowTables } from './overflow-schema.ts';
import type { PeopleTables } from './people-schema.ts';
import type { TokenTables } from './token-schema.ts';

/**
 * Tables, as Kysely sees them. Portable between SQLite and PostgreSQL: TEXT, BIGINT and DOUBLE only, no upserts outside
 * `ON CONFLICT`, no booleans. The last word of a name is its unit: `…_ms` (epoch or span), `…_micros` (money, a bigint in
 * TypeScript; every other number is a number), `…_us` (work).
 */
export interface Database
  extends ElasticTables,
    OverflowTables,
    TokenTables,
    PeopleTables,
    GateTables,
    NoticeTables,
    ModelTables {
  tenants: {
    id: string;
    name: string;
    /** Billing zone, IANA. */
    zone: string;
    currency: string;
    created_at_ms: number;
  };
  api_keys: {
    id: string;
    tenant_id: string;
    name: string;
    /** SHA-256 of the whole key, hex. The key itself is never stored. */
    hash: string;
    /** First signs, to tell keys apart. */
    hint: string;
    /** `inference`, or `manage` for every other role: what a key was before it had a role. */
    scope: 'inference' | 'manage';
    role: Generated<KeyRole>;
    created_at_ms: number;
    revoked_at_ms: number | null;
    /** `{ "team": "search" }`: what its use is charged to. */
    labels_json: Generated<string>;
    /** Its part among those that wait, against 1 of others. */
    weight: Generated<number>;
    /** What it may use, as the next three; null: not limited. */
    requests_per_minute: Generated<number | null>;
    tokens_per_minute: Generated<number | null>;
    /** Unit-microseconds. */
    work_us_per_minute: Generated<number | null>;
    /** Requests on their way together. */
    concurrency: Generated<number | null>;
  };
  ledger_transactions: {
    id: string;
    tenant_id: string;
    kind: PostingKind;
    /** Unique: a posting made twice is made once. */
    idempotency_key: string;
    memo: string;
    /** When it counts; `created_at_ms` is when it was written. */
    booked_at_ms: number;
    created_at_ms: number;
  };
  ledger_entries: {
    id: Generated<number>;
    transaction_id: string;
    tenant_id: string;
    account: string;
    amount_micros: bigint;
    /** Of the tenant's account, after this entry: the sum of its entries so far. */
    balance_micros: bigint;
  };
  endpoints: {
    id: string;
    tenant_id: string;
    /** Unique among a tenant's endpoints that are not deleted. */
    name: string;
    access_mode: 'model_units' | 'tokens_per_second' | 'pay_per_token';
    overflow_policy: 'reject' | 'queue' | 'spill';
    max_wait_ms: number;
    created_at_ms: number;
    deleted_at_ms: number | null;
    /** Paid by the token and its tenant stayed overdue: it serves nothing until the wallet is topped up. */
    suspended_at_ms: number | null;
  };
  served_models: {
    id: string;
    endpoint_id: string;
    tenant_id: string;
    model_id: string;
    template_id: string;
    /** The tenant's own weights that run in place of the template's model; null = the model's. */
    own_model_id: string | null;
    /** Elasticity coefficient of the tier. */
    coefficient: number;
    traffic_percent: number;
    created_at_ms: number;
  };
  orders: {
    id: string;
    tenant_id: string;
    kind: 'new' | 'resize' | 'renew' | 'unsubscribe';
    billing_type: 'postpaid' | 'prepaid';
    endpoint_id: string;
    served_model_id: string;
    group_id: string;
    /** Units the group has after the order succeeds. */
    units: number;
    state: string;
    /** Prepaid: months that it buys. */
    months: number | null;
    /** Prepaid: taken from the wallet as it was placed; negative: paid back. Paid back in full when it fails. */
    amount_micros: Generated<bigint>;
    /** Of the price book; null on orders of before there were versions. */
    price_version: string | null;
    /** The sums that it paid or paid back by, written out; null when it moved no money. */
    arithmetic: string | null;
    /** For people, when it failed. */
    failure: string | null;
    created_at_ms: number;
    updated_at_ms: number;
    succeeded_at_ms: number | null;
  };
  instance_groups: {
    id: string;
    tenant_id: string;
    endpoint_id: string;
    served_model_id: string;
    template_id: string;
    billing_type: 'postpaid' | 'prepaid';
    /** Units it has, or is being given. */
    units: number;
    state: GroupState;
    created_at_ms: number;
    /** The order's success: the first second that is billed. */
    billed_from_ms: number | null;
    /** The unsubscription's success, or the reclaim: billing ends. */
    ended_at_ms: number | null;
    /** Prepaid, as the next four: months paid since it was bought (`created_at_ms`), and where that ends. */
    months: number | null;
    expires_at_ms: number | null;
    reclaim_at_ms: number | null;
    /** Months that auto-renewal buys; null: off. */
    auto_renew_months: number | null;
    /** Why the last try failed. */
    auto_renew_failure: string | null;
    /** When its next reminder, renewal, expiry or reclaim is due; null: never. */
    next_due_ms: number | null;
  };
  /** What an order of months bought: a group's stretches of paid time, end to end. Never updated. */
  prepaid_terms: {
    id: string;
    tenant_id: string;
    group_id: string;
    order_id: string;
    from_ms: number;
    to_ms: number;
    /** `YYYY-MM-DD` in the tenant's zone. */
    expiry_day: string;
    months: number;
    created_at_ms: number;
  };
  /** Money of units for a part of a term up to its end (core/commerce/prepaid.ts). Never updated: it is closed by a row. */
  prepaid_lots: {
    id: string;
    tenant_id: string;
    group_id: string;
    term_id: string;
    order_id: string;
    from_ms: number;
    to_ms: number;
    units: number;
    paid_micros: bigint;
    monthly_price_micros: bigint;
    /** The price book's when it was bought. */
    penalty: number;
    price_version: string;
    /** For the length of the term, an exact decimal number; '0': none. */
    discount_percent: Generated<string>;
    /** How it was reckoned, for people. */
    arithmetic: string;
    created_at_ms: number;
  };
  /** A lot whose units were given back before its end. At most one for each lot. */
  lot_closings: {
    lot_id: string;
    order_id: string;
    at_ms: number;
    /** Given back; the others go on in a lot of their own. */
    units: number;
    refund_micros: bigint;
    penalty_micros: bigint;
    /** By the lot in all. */
    earned_micros: bigint;
    carried_micros: bigint;
    arithmetic: string;
  };
  /** Prepaid money that was earned by a midnight of the tenant's zone. Unique with tenant_id. */
  recognitions: {
    id: string;
    tenant_id: string;
    to_ms: number;
    amount_micros: bigint;
    /** null when it is nothing. */
    transaction_id: string | null;
  };
  /** When a tenant's prepaid money is earned next; null: all of it is. */
  recognition_standings: {
    tenant_id: string;
    due_ms: number | null;
  };
  recognition_lines: {
    id: Generated<number>;
    recognition_id: string;
    lot_id: string;
    amount_micros: bigint;
    /** Cumulative, after this: lines are differences of these. */
    amount_total_micros: bigint;
  };
  /** Units × price of a group over time; a new row at every resize or price change. Never updated. */
  group_segments: {
    id: string;
    group_id: string;
    from_ms: number;
    units: number;
    hourly_price_micros: bigint;
    price_version: string;
  };
  /** Versions of the price book (`catalog/price-book.ts` says what a document holds). Only withdrawn, never changed. */
  price_books: {
    version: string;
    currency: string;
    /** Unique among those that are not withdrawn. The earliest one's also holds before it. */
    valid_from_ms: number;
    source: 'catalog' | 'import';
    document_json: string;
    created_at_ms: number;
    /** Before it was valid. */
    withdrawn_at_ms: number | null;
    /** When it starts next for postpaid groups that run already; null: it did for all of them. */
    next_due_ms: number | null;
    /** Up to this one the groups of that start are done. */
    done_to_group_id: string | null;
  };
  bills: {
    id: string;
    tenant_id: string;
    /** The clock hour [from, to) in the tenant's zone. Unique with tenant_id. */
    hour_from_ms: number;
    hour_to_ms: number;
    currency: string;
    amount_micros: bigint;
    issued_at_ms: number;
    transaction_id: string;
  };
  bill_lines: {
    id: Generated<number>;
    bill_id: string;
    group_id: string;
    /** Unit-seconds of this hour. */
    unit_seconds: number;
    /** Cumulative since the group's start, after this hour: lines are differences of these. */
    unit_seconds_total: number;
    amount_total_micros: bigint;
    amount_micros: bigint;
    /** The sum written out, for people. */
    arithmetic: string;
    /** Of the price book, in order of time, a space between them; null on lines of before there were versions. */
    price_versions: string | null;
  };
  /** Credit and debit notes: what a line of a bill should have been more or less. Never updated, as the bill is not. */
  bill_corrections: {
    id: string;
    tenant_id: string;
    bill_id: string;
    /** Names the line. */
    group_id: string;
    /** Charged in addition; negative: given back. */
    amount_micros: bigint;
    /** For people. */
    reason: string;
    issued_at_ms: number;
    transaction_id: string;
  };
  /** What is on a group's bills in all: the totals of its last line. Derived, so that the next one finds them at once. */
  billed_totals: {
    group_id: string;
    unit_seconds: number;
    amount_micros: bigint;
  };
  receipts: {
    id: string;
    tenant_id: string;
    key_id: string;
    endpoint_id: string | null;
    served_model_id: string | null;
    replica_id: string | null;
    /** The LoRA adapter that answered. */
    adapter_id: string | null;
    kind: 'chat' | 'completion' | 'embedding';
    outcome: Outcome;
    cause: string;
    prompt_tokens: number;
    cached_tokens: number;
    output_tokens: number;
    estimated_prefill_us: number;
    estimated_decode_us: number;
    actual_prefill_us: number;
    actual_decode_us: number;
    received_at_ms: number;
    ended_at_ms: number;
    wait_ms: number;
    ttft_ms: number | null;
    tpot_ms: number | null;
    /** The endpoint whose overflow it was; null: it did not spill, as below. */
    spill_from: string | null;
    spill_target: string | null;
    spill_reason: string | null;
    /** A line of the journal has a number here. */
    spill_cost_micros: ColumnType<bigint | null, number | null, never>;
  };
  /** OpenAI-compatible servers that run already, adopted as replicas of a template. */
  servers: {
    id: string;
    template_id: string;
    url: string;
    model: string;
    dialect: string;
    api_key: string | null;
    /** The role of its template that it fills. */
    role: Generated<'unified' | 'prefill' | 'decode'>;
    /** Of an SGLang prefill server: where decode servers ask for KV states; null = its default. */
    bootstrap_port: number | null;
    /** Where it publishes what its KV cache holds (ZeroMQ), and where what was missed is asked for. */
    kv_events: string | null;
    kv_replay: string | null;
    created_at_ms: number;
    removed_at_ms: number | null;
  };
  /** Answers of placed requests, so that a replay gets the same one. */
  idempotency: {
    tenant_id: string;
    key: string;
    verb: string;
    request_hash: string;
    response_json: string;
    created_at_ms: number;
  };
  audit: {
    id: string;
    tenant_id: string | null;
    actor: string;
    verb: string;
    subject: string;
    detail_json: string;
    at_ms: number;
  };
  /** A tenant below zero, from the charge that took it there. At most one that has not ended for each tenant. */
  overdues: {
    id: string;
    tenant_id: string;
    since_ms: number;
    /** Topped up in time, or its postpaid units were taken back. */
    ended_at_ms: number | null;
    outcome: 'cleared' | 'reclaimed' | null;
    /** When its next notice or the reclaim is due. */
    next_due_ms: number | null;
  };
  /** What a tenant was to be told. Unique by kind, subject and due time. */
  notices: {
    id: string;
    tenant_id: string;
    kind: NoticeKind;
    subject: string;
    due_at_ms: number;
    detail_json: string;
    created_at_ms: number;
    /** When the tenant marked it as read; null: it is new to them. */
    read_at_ms: Generated<number | null>;
  };
  /** What only one of several processes does at a time (`store/lease.ts`). */
  leases: {
    name: string;
    holder: string;
    expires_at_ms: number;
  };
  /** Small facts of this installation (for example: the demo tenant was made). */
  facts: {
    name: string;
    value: string;
  };
}

export type Row<T extends keyof Database> = Selectable<Database[T]>;
export type NewRow<T extends keyof Database> = Insertable<Database[T]>;
