import { expect, test } from 'vitest';
import { check } from './check.ts';
import type { SoakEvent } from './events.ts';
import { expected } from './oracle.ts';
import { simulate } from './simulate.ts';

const DAYS = { days: 5, tenants: 4, deathPercent: 20 };
type Kind = SoakEvent['kind'];

test.each([1, 3, 4])(
  'five days of chance and death by seed %i: every account, bill, term and lot is what the events say',
  async (seed) => {
    const { mortal, events, counts } = await simulate({ ...DAYS, seed });
    expect(await check(mortal.store.db, events), `seed ${seed}`).toEqual([]);
    expect(counts.deaths).toBeGreaterThan(0);
    expect(events.filter((event) => event.kind === 'ready').length).toBeGreaterThan(0);
    await mortal.store.close();
  },
);

test('the check sees an instant, a price, one micro, a month, and a row that is missing', async () => {
  const { mortal, events } = await simulate({ ...DAYS, seed: 4 });
  const { db } = mortal.store;
  expect(await check(db, events)).toEqual([]);
  const tampered = (kind: Kind, change: (event: never) => object, which = (_: SoakEvent) => true) => {
    const at = events.findIndex((event) => event.kind === kind && which(event));
    expect(at, kind).toBeGreaterThanOrEqual(0);
    return events.map((event, i) => (i === at ? ({ ...event, ...change(event as never) } as SoakEvent) : event));
  };
  const dearer = (event: { hourlyMicros: bigint }) => ({ hourlyMicros: event.hourlyMicros + 100_000n });
  const later = (event: { atMs: number }) => ({ atMs: event.atMs + 1000 });
  const wrong = [
    tampered('prices', dearer),
    tampered('prices', (event: { monthlyMicros: bigint }) => ({ monthlyMicros: event.monthlyMicros + 1n })),
    tampered('ready', later),
    tampered('new', (event: { months: number }) => ({ months: event.months + 1 }), isPrepaid),
    tampered('top_up', (event: { micros: bigint }) => ({ micros: event.micros + 1n })),
    tampered('resize', (event: { units: number }) => ({ units: event.units + 1 })),
  ];
  for (const [i, history] of wrong.entries()) expect(await check(db, history), `history ${i}`).not.toEqual([]);
  await db.deleteFrom('recognition_lines').execute();
  await db.deleteFrom('bill_lines').execute();
  expect(await check(db, events)).not.toEqual([]);
  await mortal.store.close();
});

function isPrepaid(event: SoakEvent): boolean {
  return event.kind === 'new' && event.months !== null;
}

test('one seed is one history', async () => {
  const runs = [await simulate({ ...DAYS, days: 1, seed: 5 }), await simulate({ ...DAYS, days: 1, seed: 5 })];
  expect(runs[1]!.events).toEqual(runs[0]!.events);
  expect(runs[1]!.counts).toEqual(runs[0]!.counts);
  for (const { mortal } of runs) await mortal.store.close();
});

const at = (time: string) => Date.parse(`2026-${time}+08:00`);
const TENANT = { kind: 'tenant', tenantId: 't-1', zone: 'Asia/Shanghai' } as const;
const PRICES = { hourlyMicros: 3_600_000n, monthlyMicros: 31_000_000n, penaltyMillionths: 300_000n };
const order = { groupId: 'ig-1', tenantId: 't-1', units: 1, autoRenewMonths: null };

test('the oracle counts the worked example of a postpaid group', () => {
  const [tenant] = expected([
    TENANT,
    { kind: 'prices', ...PRICES },
    { kind: 'top_up', tenantId: 't-1', atMs: 0, micros: 10_000_000n },
    { kind: 'new', ...order, atMs: at('04-13T15:59:00'), months: null },
    { kind: 'ready', groupId: 'ig-1', atMs: at('04-13T16:00:00') },
    { kind: 'end', groupId: 'ig-1', atMs: at('04-13T18:20:31'), askedAtMs: 0 },
    { kind: 'settled', atMs: at('04-13T23:00:00') },
  ]).values();
  expect(tenant!.walletMicros).toBe(10_000_000n - 8_431_000n);
  expect([...tenant!.bills.values()].map((bill) => bill.unitSeconds)).toEqual([3600, 3600, 1231]);
});

test('and of a prepaid one: 13 April 09:00 for a month expires on 14 May 12:00, reclaimed a day later', () => {
  const bought = [
    TENANT,
    { kind: 'prices', ...PRICES },
    { kind: 'top_up', tenantId: 't-1', atMs: 0, micros: 31_000_000n },
    { kind: 'new', ...order, atMs: at('04-13T09:00:00'), months: 1 },
    { kind: 'ready', groupId: 'ig-1', atMs: at('04-13T09:01:00') },
  ] as const;
  const groupAt = (time: string) => expected([...bought, { kind: 'settled', atMs: at(time) }]).get('t-1')!.groups[0]!;
  expect(groupAt('04-13T10:00:00').prepaid!.expiresMs).toBe(at('05-14T12:00:00'));
  expect(groupAt('05-15T11:59:59').state).toBe('active');
  expect(groupAt('05-15T12:00:00').state).toBe('ended');
  // 31 d 3 h, 24 h of them used: 31 × 723 ÷ 747 × 0.7 is given back.
  const asked = { atMs: at('04-14T09:00:00'), askedAtMs: at('04-14T09:00:00') };
  const [tenant] = expected([...bought, { kind: 'end', groupId: 'ig-1', ...asked }]).values();
  expect(tenant!.walletMicros).toBe((31_000_000n * 723n * 7n) / (747n * 10n));
});
