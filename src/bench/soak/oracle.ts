import type { SoakEvent } from './events.ts';

/**
 * The commerce rules in other words (DESIGN §7), from the events alone: each second that was begun is counted one by one
 * at the units and price of its first instant. Shares no code with `src/core/commerce`.
 */
const HOUR_MS = 3_600_000;
/** From an hour's end to its bill. */
const ISSUE_MS = 3_600_000;
/** Where a zone's hours begin, past the whole hours of UTC; the zones of the soak keep it all year. */
const PHASE_MS: Readonly<Record<string, number>> = {
  'Asia/Shanghai': 0,
  'America/New_York': 0,
  'Asia/Kolkata': HOUR_MS / 2,
  'Asia/Kathmandu': (3 * HOUR_MS) / 4,
};
export const ZONES = Object.keys(PHASE_MS);

interface Change {
  readonly atMs: number;
  readonly units: number;
  readonly priceMicros: bigint;
}

interface Group {
  readonly tenant: Tenant;
  /** The first is its start. */
  readonly changes: Change[];
  readonly placedAtMs: number;
  endMs: number | null;
}

interface Tenant {
  readonly phaseMs: number;
  readonly groups: Group[];
  topUpMicros: bigint;
  /** End of its last billed hour. */
  billedToMs: number;
}

export interface Expected {
  readonly balanceMicros: bigint;
  /** By the hour's first instant. */
  readonly bills: ReadonlyMap<number, { readonly micros: bigint; readonly unitSeconds: number }>;
}

/** What every tenant's wallet and bills have to be after these events. */
export function expected(events: readonly SoakEvent[]): ReadonlyMap<string, Expected> {
  const tenants = new Map<string, Tenant>();
  const groups = new Map<string, Group>();
  let settledMs = Number.NEGATIVE_INFINITY;
  for (const event of events) {
    if (event.kind === 'settled') settledMs = Math.max(settledMs, event.atMs);
    apply(event, tenants, groups);
  }
  return new Map(Array.from(tenants, ([id, tenant]) => [id, expectedOf(tenant, settledMs)]));
}

function apply(event: SoakEvent, tenants: Map<string, Tenant>, groups: Map<string, Group>): void {
  if (event.kind === 'tenant') {
    tenants.set(event.tenantId, { phaseMs: PHASE_MS[event.zone] ?? 0, groups: [], topUpMicros: 0n, billedToMs: 0 });
  } else if (event.kind === 'top_up') {
    tenants.get(event.tenantId)!.topUpMicros += event.micros;
  } else if (event.kind === 'settled') {
    for (const tenant of tenants.values()) tenant.billedToMs = billedTo(tenant, event.atMs);
  } else if (event.kind === 'start') {
    const tenant = tenants.get(event.tenantId)!;
    const atMs = Math.max(event.atMs, tenant.billedToMs, event.placedAtMs + 1);
    const group = { tenant, changes: [{ ...event, atMs }], placedAtMs: event.placedAtMs, endMs: null };
    tenant.groups.push(group);
    groups.set(event.groupId, group);
  } else {
    const group = groups.get(event.groupId)!;
    const atMs = moment(group, event.atMs);
    if (event.kind === 'end') group.endMs = atMs;
    else group.changes.push({ ...event, atMs });
  }
}

/** A clock that was set back rewrites nothing that is billed, and changes stay in order. */
function moment(group: Group, atMs: number): number {
  const { changes, tenant, placedAtMs } = group;
  const lastMs = changes.length === 1 ? placedAtMs : changes.at(-1)!.atMs;
  return Math.max(atMs, tenant.billedToMs, changes[0]!.atMs, lastMs + 1);
}

function hourOf(tenant: Tenant, atMs: number): number {
  return Math.floor((atMs + tenant.phaseMs) / HOUR_MS) * HOUR_MS - tenant.phaseMs;
}

function billedTo(tenant: Tenant, nowMs: number): number {
  const horizonMs = hourOf(tenant, nowMs - ISSUE_MS);
  let billedToMs = tenant.billedToMs;
  for (const group of tenant.groups) {
    const fromMs = group.changes[0]!.atMs;
    if (fromMs >= horizonMs) continue;
    const lastSecondMs = group.endMs === null ? horizonMs - 1 : Math.max(fromMs, group.endMs - 1);
    billedToMs = Math.max(billedToMs, Math.min(horizonMs, hourOf(tenant, lastSecond(fromMs, lastSecondMs)) + HOUR_MS));
  }
  return billedToMs;
}

/** The first instant of the second, counted from `fromMs`, that holds `atMs`. */
function lastSecond(fromMs: number, atMs: number): number {
  return fromMs + Math.floor((atMs - fromMs) / 1000) * 1000;
}

function expectedOf(tenant: Tenant, settledMs: number): Expected {
  const horizonMs = hourOf(tenant, settledMs - ISSUE_MS);
  const bills = new Map<number, { micros: bigint; unitSeconds: number }>();
  let balanceMicros = tenant.topUpMicros;
  for (const group of tenant.groups) {
    let product = 0n;
    let roundedMicros = 0n;
    for (const [hourMs, { microSeconds, unitSeconds }] of secondsOf(group, horizonMs)) {
      product += microSeconds;
      const micros = divideEven(product) - roundedMicros;
      roundedMicros += micros;
      balanceMicros -= micros;
      const bill = bills.get(hourMs) ?? { micros: 0n, unitSeconds: 0 };
      bills.set(hourMs, { micros: bill.micros + micros, unitSeconds: bill.unitSeconds + unitSeconds });
    }
  }
  return { balanceMicros, bills };
}

/** Seconds × units × price of each hour, hours in order. */
function secondsOf(group: Group, horizonMs: number): Map<number, { microSeconds: bigint; unitSeconds: number }> {
  const { changes, tenant } = group;
  const fromMs = changes[0]!.atMs;
  const stopMs = Math.min(group.endMs ?? horizonMs, horizonMs);
  const hours = new Map<number, { microSeconds: bigint; unitSeconds: number }>();
  let current = 0;
  let hourMs = hourOf(tenant, fromMs);
  let seconds = 0;
  const close = () => {
    if (seconds === 0) return;
    const { units, priceMicros } = changes[current]!;
    const hour = hours.get(hourMs) ?? { microSeconds: 0n, unitSeconds: 0 };
    const unitSeconds = seconds * units;
    hours.set(hourMs, {
      microSeconds: hour.microSeconds + BigInt(unitSeconds) * priceMicros,
      unitSeconds: hour.unitSeconds + unitSeconds,
    });
    seconds = 0;
  };
  for (let atMs = fromMs; atMs < stopMs || (atMs === fromMs && atMs < horizonMs); atMs += 1000) {
    if (atMs >= hourMs + HOUR_MS || (changes[current + 1]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs) {
      close();
      hourMs = hourOf(tenant, atMs);
      while ((changes[current + 1]?.atMs ?? Number.POSITIVE_INFINITY) <= atMs) current += 1;
    }
    seconds += 1;
  }
  close();
  return hours;
}

/** ÷ 3600 to the nearest micro, ties to the even one. */
function divideEven(product: bigint): bigint {
  const below = product / 3600n;
  const rest = product % 3600n;
  if (rest < 1800n) return below;
  return rest > 1800n || below % 2n === 1n ? below + 1n : below;
}
