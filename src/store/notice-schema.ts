import type { Generated } from 'kysely';
import type { Language, NoticeKind } from '../core/commerce/notice.ts';

/** How a tenant is told, and what its use is charged to; the rules of `schema.ts` hold. */
export interface NoticeTables {
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
  /** Absent: English, bills once a month. */
  notice_preferences: {
    tenant_id: string;
    language: Language;
    /** How often bills are told. */
    bills: 'each' | 'daily' | 'monthly' | 'off';
  };
  /** Bills of a tenant that no notice names yet. Absent: there are none. */
  bill_digests: {
    tenant_id: string;
    /** The start of the first one's hour. */
    from_ms: number;
    /** When they are told. */
    due_ms: number;
  };
  /** Where a tenant's notices are sent. */
  channels: {
    id: string;
    tenant_id: string;
    kind: 'webhook' | 'email';
    name: string;
    state: 'active' | 'paused' | 'removed';
    /** Webhook, as the next three: what signs its messages, and what signed them until lately. */
    url: string | null;
    secret: string | null;
    previous_secret: string | null;
    previous_until_ms: number | null;
    /** E-mail: addresses. */
    recipients_json: string | null;
    /** The kinds of notices that it takes; null: all. */
    kinds_json: string | null;
    created_at_ms: number;
  };
  /** The outbox: a notice on its way to a channel, written with the notice. Unique by both. */
  deliveries: {
    id: string;
    tenant_id: string;
    notice_id: string;
    channel_id: string;
    state: 'pending' | 'delivered' | 'failed' | 'cancelled';
    /** Begun, so that a crash counts. */
    attempts: number;
    /** When it is tried (again); pushed out while it is. null when it ended. */
    next_due_ms: number | null;
    /** Why the last attempt failed, for people. */
    failure: string | null;
    created_at_ms: number;
    ended_at_ms: number | null;
  };
  /** Work by key, of requests that ended in a quarter of an hour. Written with their receipts. */
  usage_quarters: {
    served_model_id: string;
    from_ms: number;
    key_id: string;
    tenant_id: string;
    requests: number;
    prefill_us: number;
    decode_us: number;
  };
  /** What a tenant means to spend in a month. Unique by tenant and label. */
  budgets: {
    id: string;
    tenant_id: string;
    /** `name=value` of keys, or empty for all of the tenant. */
    label: string;
    amount_micros: bigint;
    /** 1: what is paid per token stops when it is spent. */
    hard_stop: number;
    created_at_ms: number;
    /** `YYYY-MM` of the next five. */
    month: string;
    spent_micros: bigint;
    spent_to_ms: number;
    /** Of `spent_micros` what changes no more, and up to when. */
    settled_micros: bigint;
    settled_to_ms: number;
    /** The highest threshold that was told; 0: none. */
    told_percent: number;
    /** When it is counted next. */
    next_due_ms: number;
  };
}
