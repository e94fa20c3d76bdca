import type { Prices } from './events.ts';

/** What the oracle knows of a tenant. It shares no code and no table with the control plane. */
export interface Tenant {
  readonly id: string;
  readonly zone: string;
  readonly groups: Group[];
  walletMicros: bigint;
  paidInMicros: bigint;
  /** End of its last billed hour; 0 before the first. */
  billedToMs: number;
  /** The last midnight at which prepaid days were earned. */
  recognisedToMs: number;
  overdueSinceMs: number | null;
  readonly overdues: { readonly sinceMs: number; outcome: 'cleared' | 'reclaimed' | null }[];
  /** By the hour's first instant. */
  readonly bills: Map<number, { micros: bigint; unitSeconds: number }>;
}

export interface Change {
  readonly atMs: number;
  readonly units: number;
  readonly priceMicros: bigint;
}

export interface Group {
  readonly id: string;
  readonly tenant: Tenant;
  readonly createdMs: number;
  /** Units it has or is being given. */
  units: number;
  state: 'provisioning' | 'active' | 'resizing' | 'ended';
  /** Number of the order that is under way, to tell its lots. */
  orders: number;
  /** The first holds from the start. */
  readonly changes: Change[];
  fromMs: number | null;
  endMs: number | null;
  /** Seconds billed, their units × price, what of it was rounded to micros, and the change that holds now. */
  seconds: number;
  product: bigint;
  roundedMicros: bigint;
  change: number;
  readonly prepaid: Prepaid | null;
}

export interface Prepaid {
  months: number;
  readonly terms: { readonly fromMs: number; readonly toMs: number; readonly months: number }[];
  lots: Lot[];
  autoRenewMonths: number | null;
  expiresMs: number;
  /** Events of the term up to here have happened. */
  doneMs: number;
  /** Paid by the tenant, and paid back to it. */
  paidMicros: bigint;
  refundedMicros: bigint;
}

export interface Lot {
  readonly order: number;
  readonly term: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly units: number;
  readonly paidMicros: bigint;
  readonly penaltyMillionths: bigint;
  /** Earned by the last midnight. */
  earnedMicros: bigint;
}

export interface World {
  readonly tenants: Map<string, Tenant>;
  readonly groups: Map<string, Group>;
  prices: Prices;
}

/** A clock that was set back rewrites nothing that is billed, and changes stay in order. */
export function moment(group: Group, atMs: number): number {
  return Math.max(atMs, group.tenant.billedToMs, group.fromMs ?? 0, group.changes.at(-1)!.atMs + 1);
}

/** Prepaid changes come after what is earned, too. */
export function prepaidMoment(group: Group, atMs: number): number {
  return moment(group, Math.max(atMs, group.tenant.recognisedToMs));
}

/** Money that came in, in time and enough, ends the overdue time. */
export function credit(tenant: Tenant, micros: bigint, atMs: number): void {
  tenant.walletMicros += micros;
  if (tenant.overdueSinceMs === null || tenant.walletMicros < 0n) return;
  if (atMs >= tenant.overdueSinceMs + 86_400_000) return;
  endOverdue(tenant, 'cleared');
}

export function endOverdue(tenant: Tenant, outcome: 'cleared' | 'reclaimed'): void {
  tenant.overdueSinceMs = null;
  tenant.overdues.at(-1)!.outcome = outcome;
}
