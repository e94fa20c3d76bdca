import { noonBefore } from './calendar.ts';
import { buyMonths, earnUntil, nextMidnight, payBack } from './oracle-prepaid.ts';
import { endOverdue, type Group, moment, type Tenant, type World } from './oracle-state.ts';
import { bill, nextBill, unbilledMicros } from './oracle-usage.ts';

/** What happens by itself as time passes: bills, overdue units taken back, days earned, terms renewed and ended. */
const DAY_MS = 86_400_000;
const AUTO_RENEW_DAYS = 3;
/** A group is paid for so far ahead at most. */
const AHEAD_MS_MAX = 60 * 31 * DAY_MS;

interface Due {
  readonly atMs: number;
  /** Of several at one instant. */
  readonly rank: number;
  readonly key: string;
  run(): void;
}

/** Everything that is due by now, earliest first. */
export function pass(world: World, nowMs: number): void {
  for (const tenant of world.tenants.values()) {
    for (;;) {
      const [next] = duesOf(world, tenant, nowMs).toSorted(
        (a, b) => a.atMs - b.atMs || a.rank - b.rank || (a.key < b.key ? -1 : 1),
      );
      if (next === undefined || next.atMs > nowMs) break;
      next.run();
    }
  }
}

function duesOf(world: World, tenant: Tenant, nowMs: number): Due[] {
  const dues: Due[] = [];
  const billed = nextBill(tenant);
  if (billed !== null) dues.push({ atMs: billed.atMs, rank: 0, key: '', run: () => bill(tenant, billed) });
  if (tenant.overdueSinceMs !== null) {
    const atMs = tenant.overdueSinceMs + DAY_MS;
    dues.push({ atMs, rank: 1, key: '', run: () => takeBack(tenant, atMs) });
  }
  const midnight = nextMidnight(tenant);
  if (midnight !== null) dues.push({ atMs: midnight, rank: 2, key: '', run: () => earnUntil(tenant, midnight) });
  for (const group of tenant.groups) {
    const term = termDue(world, group, nowMs);
    if (term !== null) dues.push({ ...term, rank: 3, key: group.id });
  }
  return dues;
}

/** Postpaid units of a tenant that stayed overdue. */
function takeBack(tenant: Tenant, atMs: number): void {
  for (const group of tenant.groups) {
    if (group.prepaid !== null || group.state === 'ended' || group.createdMs >= atMs) continue;
    group.endMs = group.fromMs === null ? atMs : moment(group, atMs);
    group.state = 'ended';
  }
  endOverdue(tenant, 'reclaimed');
}

function termDue(world: World, group: Group, nowMs: number): Pick<Due, 'atMs' | 'run'> | null {
  const { prepaid, tenant } = group;
  if (prepaid === null || group.state === 'ended') return null;
  for (let days = AUTO_RENEW_DAYS; days >= 0; days--) {
    const atMs = noonBefore(prepaid.expiresMs, days, tenant.zone);
    if (atMs > prepaid.doneMs) return { atMs, run: () => renewAt(world, group, atMs) };
  }
  const reclaimMs = prepaid.expiresMs + DAY_MS;
  return { atMs: reclaimMs, run: () => reclaim(group, reclaimMs, nowMs) };
}

function renewAt(world: World, group: Group, atMs: number): void {
  const prepaid = group.prepaid!;
  prepaid.doneMs = atMs;
  const months = prepaid.autoRenewMonths;
  if (months === null || group.state !== 'active') return;
  const { tenant } = group;
  const payMicros = BigInt(group.units * months) * world.prices.monthlyMicros;
  const hourMicros = tenant.groups
    .filter((one) => one.state !== 'ended' && one.prepaid === null)
    .reduce((sum, one) => sum + BigInt(one.units) * one.changes.at(-1)!.priceMicros, 0n);
  const freeMicros = tenant.walletMicros - unbilledMicros(tenant, atMs);
  const needed = payMicros + hourMicros;
  if (needed > 0n && freeMicros < needed) return;
  if (prepaid.expiresMs > atMs + AHEAD_MS_MAX) return;
  group.orders += 1;
  buyMonths(group, months, world.prices);
}

function reclaim(group: Group, atMs: number, nowMs: number): void {
  if (group.state !== 'active') payBack(group, nowMs);
  group.endMs = Math.max(atMs, group.fromMs ?? atMs);
  group.state = 'ended';
}
