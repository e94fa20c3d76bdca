import { expiryOf, midnightAfter } from './calendar.ts';
import type { Prices } from './events.ts';
import { credit, type Group, type Lot, type Prepaid, type Tenant } from './oracle-state.ts';
import { nearestEven } from './oracle-usage.ts';

/** Prepaid rules in other words (DESIGN §7), with whole fractions of bigints: what is divided is divided once. */

/** Months paid now for every unit, on from where the paid time ends. */
export function buyMonths(group: Group, months: number, prices: Prices): void {
  const prepaid = group.prepaid!;
  const { tenant, createdMs, units } = group;
  const fromMs = prepaid.months === 0 ? createdMs : expiryOf(createdMs, prepaid.months, tenant.zone);
  prepaid.months += months;
  const toMs = expiryOf(createdMs, prepaid.months, tenant.zone);
  prepaid.expiresMs = toMs;
  prepaid.terms.push({ fromMs, toMs, months });
  const paidMicros = BigInt(units * months) * prices.monthlyMicros;
  const term = prepaid.terms.length - 1;
  pay(group, { fromMs, toMs, units, paidMicros, term }, prices);
}

/** Units that join pay the rest of every term that has not ended. */
export function buyRest(group: Group, added: number, { atMs, prices }: { atMs: number; prices: Prices }): void {
  for (const [term, { fromMs, toMs, months }] of group.prepaid!.terms.entries()) {
    if (toMs <= atMs) continue;
    const { used, all } = secondsOf({ fromMs, toMs }, atMs);
    const whole = BigInt(added * months) * prices.monthlyMicros;
    const paidMicros = nearestEven(whole * BigInt(all - used), BigInt(all));
    pay(group, { fromMs: fromMs + used * 1000, toMs, units: added, paidMicros, term }, prices);
  }
}

function pay(group: Group, lot: Omit<Lot, 'order' | 'penaltyMillionths' | 'earnedMicros'>, prices: Prices): void {
  const { penaltyMillionths } = prices;
  const prepaid = group.prepaid!;
  prepaid.lots.push({ ...lot, order: group.orders, penaltyMillionths, earnedMicros: 0n });
  prepaid.paidMicros += lot.paidMicros;
  group.tenant.walletMicros -= lot.paidMicros;
}

/** Units of every running term, those bought last first. */
export function giveBack(group: Group, units: number, atMs: number): void {
  const prepaid = group.prepaid!;
  earnUntil(group.tenant, atMs);
  let refundMicros = 0n;
  for (const term of prepaid.terms.keys()) {
    let left = units;
    for (const lot of prepaid.lots.filter((one) => one.term === term && one.toMs > atMs).toReversed()) {
      const given = Math.min(left, lot.units);
      left -= given;
      if (given > 0) refundMicros += close(prepaid, lot, { given, atMs });
    }
  }
  refund(group, refundMicros, atMs);
}

/** All of it: lots of the order under way whole, the others less the penalty. */
export function endPrepaid(group: Group, atMs: number): void {
  const prepaid = group.prepaid!;
  earnUntil(group.tenant, atMs);
  const unready = group.state === 'active' ? [] : prepaid.lots.filter((lot) => lot.order === group.orders);
  let refundMicros = unready.reduce((sum, lot) => sum + lot.paidMicros, 0n);
  prepaid.lots = prepaid.lots.filter((lot) => !unready.includes(lot));
  for (const lot of prepaid.lots.filter((one) => one.toMs > atMs))
    refundMicros += close(prepaid, lot, { given: lot.units, atMs });
  refund(group, refundMicros, atMs);
}

/** An order that came to nothing: what it paid, whole. */
export function payBack(group: Group, nowMs: number): void {
  const prepaid = group.prepaid!;
  const atMs = Math.max(nowMs, group.tenant.recognisedToMs);
  const own = prepaid.lots.filter((lot) => lot.order === group.orders);
  if (own.length === 0) return;
  earnUntil(group.tenant, atMs);
  prepaid.lots = prepaid.lots.filter((lot) => lot.order !== group.orders);
  const paidMicros = own.reduce((sum, lot) => sum + lot.paidMicros, 0n);
  refund(group, paidMicros, atMs);
}

function refund(group: Group, micros: bigint, atMs: number): void {
  group.prepaid!.refundedMicros += micros;
  credit(group.tenant, micros, atMs);
}

/** paid × given ÷ units × unused ÷ term × (1 − penalty), rounded down once; the units that are kept carry on. */
function close(prepaid: Prepaid, lot: Lot, { given, atMs }: { given: number; atMs: number }): bigint {
  const { used, all } = secondsOf(lot, atMs);
  const unused = BigInt(all - used);
  const kept = 1_000_000n - lot.penaltyMillionths;
  const at = prepaid.lots.indexOf(lot);
  const rest =
    given === lot.units
      ? []
      : [
          {
            ...lot,
            fromMs: Math.min(lot.toMs, lot.fromMs + used * 1000),
            units: lot.units - given,
            paidMicros: (lot.paidMicros * BigInt(lot.units - given) * unused) / BigInt(lot.units * all),
            earnedMicros: 0n,
          },
        ];
  prepaid.lots.splice(at, 1, ...rest);
  return (lot.paidMicros * BigInt(given) * unused * kept) / (BigInt(lot.units * all) * 1_000_000n);
}

/** Seconds that were begun, and all. */
function secondsOf({ fromMs, toMs }: { fromMs: number; toMs: number }, atMs: number): { used: number; all: number } {
  const all = Math.max(1, Math.ceil((toMs - fromMs) / 1000));
  return { used: Math.max(0, Math.min(all, Math.ceil((atMs - fromMs) / 1000))), all };
}

/** The next midnight at which something is earned, or null. */
export function nextMidnight(tenant: Tenant): number | null {
  const begins = running(tenant).map((lot) => lot.fromMs);
  if (begins.length === 0) return null;
  return midnightAfter(Math.max(tenant.recognisedToMs, Math.min(...begins)), tenant.zone);
}

/** Every midnight up to an instant. */
export function earnUntil(tenant: Tenant, atMs: number): void {
  for (let midnight = nextMidnight(tenant); midnight !== null && midnight <= atMs; midnight = nextMidnight(tenant)) {
    for (const lot of running(tenant)) {
      if (lot.fromMs >= midnight) continue;
      const { used, all } = secondsOf(lot, midnight);
      lot.earnedMicros = (lot.paidMicros * BigInt(used)) / BigInt(all);
    }
    tenant.recognisedToMs = midnight;
  }
}

function running(tenant: Tenant): Lot[] {
  return tenant.groups.flatMap(({ prepaid }) =>
    (prepaid?.lots ?? []).filter((lot) => lot.toMs > tenant.recognisedToMs),
  );
}
