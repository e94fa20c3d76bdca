/**
 * What happened in a simulated world, in order, as its tenants saw it: answers of verbs and what their groups had become.
 * The checker knows nothing else. Another kind of purchase is another kind of event here, another rule there.
 */
export type SoakEvent =
  | { readonly kind: 'tenant'; readonly tenantId: string; readonly zone: string }
  | { readonly kind: 'top_up'; readonly tenantId: string; readonly micros: bigint }
  /** The group's first units were ready at `atMs` by the clock of that moment; its order was placed at `placedAtMs`. */
  | (GroupEvent & { readonly kind: 'start'; readonly tenantId: string; readonly placedAtMs: number })
  | (GroupEvent & { readonly kind: 'units' })
  | { readonly kind: 'end'; readonly groupId: string; readonly atMs: number }
  /** Every bill that was due by the clock is issued. */
  | { readonly kind: 'settled'; readonly atMs: number };

interface GroupEvent {
  readonly groupId: string;
  readonly atMs: number;
  readonly units: number;
  /** Of one unit for an hour. */
  readonly priceMicros: bigint;
}
