import { hourOf } from './calendar.ts';
import type { Group, Tenant } from './oracle-state.ts';

/**
 * Postpaid rules in other words (DESIGN §7): each second that was begun is counted one by one at the units and price of
 * its first instant.
 */
const HOUR_MS = 3_600_000;
/** From an hour's end to its bill. */
const ISSUE_MS = 3_600_000;

/** The hour of the first second that is on no bill yet, and when its bill is issued; null: nothing runs. */
export function nextBill(tenant: Tenant): { hourMs: number; atMs: number } | null {
  let first = Number.POSITIVE_INFINITY;
  for (const group of tenant.groups) {
    if (group.prepaid !== null || group.fromMs === null) continue;
    const secondMs = group.fromMs + group.seconds * 1000;
    if (begins(group, secondMs)) first = Math.min(first, Math.max(secondMs, tenant.billedToMs));
  }
  if (first === Number.POSITIVE_INFINITY) return null;
  const hourMs = hourOf(first, tenant.zone);
  return { hourMs, atMs: hourMs + HOUR_MS + ISSUE_MS };
}

function begins(group: Group, secondMs: number): boolean {
  return group.endMs === null || group.seconds === 0 || secondMs < group.endMs;
}

/** Charges an hour, and says whether the tenant is overdue by it. */
export function bill(tenant: Tenant, { hourMs, atMs }: { hourMs: number; atMs: number }): void {
  let micros = 0n;
  let unitSeconds = 0;
  for (const group of tenant.groups) {
    const counted = count(group, hourMs + HOUR_MS);
    micros += counted.micros;
    unitSeconds += counted.unitSeconds;
  }
  if (unitSeconds === 0) throw new Error(`the oracle bills an empty hour: ${tenant.id}, ${hourMs}`);
  tenant.bills.set(hourMs, { micros, unitSeconds });
  tenant.walletMicros -= micros;
  tenant.billedToMs = hourMs + HOUR_MS;
  if (tenant.walletMicros >= 0n || tenant.overdueSinceMs !== null) return;
  if (!tenant.groups.some((group) => group.prepaid === null && group.state !== 'ended' && group.createdMs < atMs))
    return;
  tenant.overdueSinceMs = atMs;
  tenant.overdues.push({ sinceMs: atMs, outcome: null });
}

/** What was used up to an instant and is on no bill. */
export function unbilledMicros(tenant: Tenant, atMs: number): bigint {
  return tenant.groups.reduce((sum, group) => sum + count({ ...group }, atMs).micros, 0n);
}

/** Counts on to an instant. */
function count(group: Group, untilMs: number): { micros: bigint; unitSeconds: number } {
  const none = { micros: 0n, unitSeconds: 0 };
  if (group.prepaid !== null || group.fromMs === null) return none;
  let unitSeconds = 0;
  let atMs = group.fromMs + group.seconds * 1000;
  while (atMs < untilMs && begins(group, atMs)) {
    while ((group.changes[group.change + 1]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs) group.change += 1;
    const nextMs = Math.min(untilMs, group.changes[group.change + 1]?.atMs ?? Number.POSITIVE_INFINITY);
    const { units, priceMicros } = group.changes[group.change]!;
    let run = 0;
    for (; atMs < nextMs && begins(group, atMs); atMs += 1000) {
      run += 1;
      group.seconds += 1;
    }
    unitSeconds += run * units;
    group.product += BigInt(run * units) * priceMicros;
  }
  const roundedMicros = nearestEven(group.product, 3600n);
  const micros = roundedMicros - group.roundedMicros;
  group.roundedMicros = roundedMicros;
  return { micros, unitSeconds };
}

/** To the nearest whole number, ties to the even one; both positive. */
export function nearestEven(numerator: bigint, denominator: bigint): bigint {
  const below = numerator / denominator;
  const twice = 2n * (numerator % denominator);
  if (twice < denominator) return below;
  return twice > denominator || below % 2n === 1n ? below + 1n : below;
}
