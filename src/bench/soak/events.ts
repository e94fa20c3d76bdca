/**
 * What happened in a simulated world, in order, as its tenants saw it: answers of verbs and what their groups had become.
 * The checker knows nothing else. Another kind of purchase is another kind of event here, another rule in the oracle.
 */
export type SoakEvent =
  | { readonly kind: 'tenant'; readonly tenantId: string; readonly zone: string }
  | ({ readonly kind: 'prices' } & Prices)
  | { readonly kind: 'top_up'; readonly tenantId: string; readonly atMs: number; readonly micros: bigint }
  /** An order for a new group was placed, and paid when it is prepaid (`months`). */
  | (GroupEvent & {
      readonly kind: 'new';
      readonly tenantId: string;
      readonly units: number;
      readonly months: number | null;
      readonly autoRenewMonths: number | null;
    })
  /** The units that were ordered last are ready, or never will be. */
  | (GroupEvent & { readonly kind: 'ready' | 'failed' })
  | (GroupEvent & { readonly kind: 'resize'; readonly units: number })
  | (GroupEvent & { readonly kind: 'renew'; readonly months: number })
  /** `atMs` is when it was placed, `askedAtMs` the instant of the quote that it keeps to. */
  | (GroupEvent & { readonly kind: 'end'; readonly askedAtMs: number })
  | { readonly kind: 'auto_renew'; readonly groupId: string; readonly months: number | null }
  /** Every background job did what was due by the clock. */
  | { readonly kind: 'settled'; readonly atMs: number };

/** Of one unit, from now on. */
export interface Prices {
  readonly hourlyMicros: bigint;
  readonly monthlyMicros: bigint;
  /** Kept of what is given back early, in millionths. */
  readonly penaltyMillionths: bigint;
}

interface GroupEvent {
  readonly groupId: string;
  /** By the clock of that moment, which may have been set back. */
  readonly atMs: number;
}
