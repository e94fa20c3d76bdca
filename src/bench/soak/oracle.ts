import type { SoakEvent } from './events.ts';
import { pass } from './oracle-due.ts';
import { buyMonths, buyRest, endPrepaid, giveBack, payBack } from './oracle-prepaid.ts';
import { credit, type Group, moment, prepaidMoment, type Tenant, type World } from './oracle-state.ts';

/** What every tenant's wallet, bills, terms and lots have to be after these events. Shares no code with `src/core`. */
export function expected(events: readonly SoakEvent[]): ReadonlyMap<string, Tenant> {
  const prices = { hourlyMicros: 0n, monthlyMicros: 0n, penaltyMillionths: 1n };
  const world: World = { tenants: new Map(), groups: new Map(), prices };
  for (const event of events) apply(world, event);
  return world.tenants;
}

function apply(world: World, event: SoakEvent): void {
  if (event.kind === 'tenant') world.tenants.set(event.tenantId, newTenant(event));
  else if (event.kind === 'prices') world.prices = event;
  else if (event.kind === 'settled') pass(world, event.atMs);
  else if (event.kind === 'top_up') {
    const tenant = world.tenants.get(event.tenantId)!;
    tenant.paidInMicros += event.micros;
    credit(tenant, event.micros, event.atMs);
  } else if (event.kind === 'new') buy(world, event);
  else change(world, world.groups.get(event.groupId)!, event);
}

type GroupChange = Extract<
  SoakEvent,
  { readonly kind: 'ready' | 'failed' | 'resize' | 'renew' | 'end' | 'auto_renew' }
>;

function change(world: World, group: Group, event: GroupChange): void {
  if (event.kind === 'ready') ready(group, event.atMs);
  else if (event.kind === 'failed') fail(group, event.atMs);
  else if (event.kind === 'resize') resize(world, group, event);
  else if (event.kind === 'end') end(group, event);
  else if (event.kind === 'auto_renew') group.prepaid!.autoRenewMonths = event.months;
  else if (event.kind === 'renew') {
    group.orders += 1;
    buyMonths(group, event.months, world.prices);
    group.prepaid!.doneMs = event.atMs;
  }
}

function newTenant({ tenantId, zone }: Extract<SoakEvent, { readonly kind: 'tenant' }>): Tenant {
  return {
    id: tenantId,
    zone,
    groups: [],
    walletMicros: 0n,
    paidInMicros: 0n,
    billedToMs: 0,
    recognisedToMs: Number.NEGATIVE_INFINITY,
    overdueSinceMs: null,
    overdues: [],
    bills: new Map(),
  };
}

function buy(world: World, event: Extract<SoakEvent, { readonly kind: 'new' }>): void {
  const tenant = world.tenants.get(event.tenantId)!;
  const { groupId: id, units, months, autoRenewMonths } = event;
  const createdMs = months === null ? event.atMs : Math.max(event.atMs, tenant.recognisedToMs);
  const group: Group = {
    ...{ id, tenant, createdMs, units, state: 'provisioning', orders: 1, fromMs: null, endMs: null },
    changes: [{ atMs: createdMs, units, priceMicros: world.prices.hourlyMicros }],
    ...{ seconds: 0, product: 0n, roundedMicros: 0n, change: 0 },
    prepaid:
      months === null
        ? null
        : {
            ...{ months: 0, terms: [], lots: [], autoRenewMonths, expiresMs: 0 },
            ...{ doneMs: createdMs, paidMicros: 0n, refundedMicros: 0n },
          },
  };
  tenant.groups.push(group);
  world.groups.set(id, group);
  if (months !== null) buyMonths(group, months, world.prices);
}

function ready(group: Group, nowMs: number): void {
  const atMs = moment(group, nowMs);
  if (group.state === 'provisioning') group.fromMs = atMs;
  else group.changes.push({ atMs, units: group.units, priceMicros: group.changes.at(-1)!.priceMicros });
  group.state = 'active';
}

/** A new group is gone, a resized one goes on as it was. */
function fail(group: Group, nowMs: number): void {
  if (group.prepaid !== null) payBack(group, nowMs);
  group.units = group.changes.at(-1)!.units;
  group.state = group.state === 'provisioning' ? 'ended' : 'active';
}

function resize(world: World, group: Group, { units, atMs }: { units: number; atMs: number }): void {
  const added = units - group.units;
  group.units = units;
  group.orders += 1;
  const when = group.prepaid === null ? moment(group, atMs) : prepaidMoment(group, atMs);
  if (added > 0) {
    group.state = 'resizing';
    if (group.prepaid !== null) buyRest(group, added, { atMs: when, prices: world.prices });
    return;
  }
  if (group.prepaid !== null) giveBack(group, -added, when);
  group.changes.push({ atMs: when, units, priceMicros: group.changes.at(-1)!.priceMicros });
}

function end(group: Group, { atMs, askedAtMs }: { atMs: number; askedAtMs: number }): void {
  const endMs = group.fromMs === null ? atMs : moment(group, atMs);
  if (group.prepaid !== null) endPrepaid(group, prepaidMoment(group, askedAtMs));
  group.endMs = endMs;
  group.state = 'ended';
}
