import { expect, test } from 'vitest';
import { check } from './check.ts';
import type { SoakEvent } from './events.ts';
import { expected } from './oracle.ts';
import { simulate } from './simulate.ts';

const DAYS = { days: 5, tenants: 4, deathPercent: 20 };

test.each([1, 2, 3])(
  'five days of chance and death by seed %i: every balance and bill is what the events say',
  async (seed) => {
    const { mortal, events, counts } = await simulate({ ...DAYS, seed });
    expect(await check(mortal.store.db, events), `seed ${seed}`).toEqual([]);
    expect(counts.deaths).toBeGreaterThan(0);
    expect(events.filter((event) => event.kind === 'start').length).toBeGreaterThan(0);
    await mortal.store.close();
  },
);

test('the check sees a second, a price, one micro in a wallet and a missing line', async () => {
  const { mortal, events } = await simulate({ ...DAYS, seed: 4 });
  const { db } = mortal.store;
  const start = events.findIndex((event) => event.kind === 'start');
  const tampered = (change: (event: SoakEvent) => SoakEvent) =>
    events.map((event, i) => (i === start ? change(event) : event));
  expect(await check(db, events)).toEqual([]);
  const later = tampered((event) => ({ ...event, atMs: (event as { atMs: number }).atMs + 1000 }) as SoakEvent);
  expect(await check(db, later)).not.toEqual([]);
  const dearer = tampered(
    (event) => ({ ...event, priceMicros: (event as { priceMicros: bigint }).priceMicros + 100_000n }) as SoakEvent,
  );
  expect(await check(db, dearer)).not.toEqual([]);
  const tenantId = (events[0] as { tenantId: string }).tenantId;
  expect(await check(db, [...events, { kind: 'top_up', tenantId, micros: 1n }])).toEqual([
    expect.stringContaining(`${tenantId}: balance`),
  ]);
  await db.deleteFrom('bill_lines').execute();
  expect(await check(db, events)).not.toEqual([]);
  await mortal.store.close();
});

test('one seed is one history', async () => {
  const runs = [await simulate({ ...DAYS, days: 1, seed: 5 }), await simulate({ ...DAYS, days: 1, seed: 5 })];
  expect(runs[1]!.events).toEqual(runs[0]!.events);
  expect(runs[1]!.counts).toEqual(runs[0]!.counts);
  for (const { mortal } of runs) await mortal.store.close();
});

test('the oracle counts the worked example', () => {
  const at = (time: string) => Date.parse(`2026-04-13T${time}+08:00`);
  const [wallet] = expected([
    { kind: 'tenant', tenantId: 't-1', zone: 'Asia/Shanghai' },
    { kind: 'top_up', tenantId: 't-1', micros: 10_000_000n },
    {
      kind: 'start',
      groupId: 'ig-1',
      tenantId: 't-1',
      placedAtMs: 0,
      atMs: at('16:00:00'),
      units: 1,
      priceMicros: 3_600_000n,
    },
    { kind: 'end', groupId: 'ig-1', atMs: at('18:20:31') },
    { kind: 'settled', atMs: at('23:00:00') },
  ]).values();
  expect(wallet!.balanceMicros).toBe(10_000_000n - 8_431_000n);
  expect([...wallet!.bills.values()].map((bill) => bill.unitSeconds)).toEqual([3600, 3600, 1231]);
});
