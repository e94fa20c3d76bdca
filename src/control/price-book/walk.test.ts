import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { OPERATOR, type TestControl } from '../fixture.ts';
import { groupShow } from '../group/show.ts';
import { runJobs } from '../jobs/fixture.ts';
import { orderResize } from '../order/resize.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { at } from '../prepaid/fixture.ts';
import { tenantCreate } from '../tenant/create.ts';
import { walletTopUp } from '../wallet/top-up.ts';
import { bookOf, importBook, pricedWorld } from './fixture.ts';

/**
 * Random lives of a postpaid group under random price changes, in zones whose hours differ. What it costs is reckoned
 * again minute by minute, and is the same when the jobs run every few minutes, now and then, or only at the end.
 */
const START_MS = at('2026-04-13T10:00');
const MINUTES = 400;
const MINUTE_MS = 60_000;
const OFFSET_MINUTES = { 'Asia/Shanghai': 480, 'Asia/Kolkata': 330, 'Asia/Kathmandu': 345 } as const;

interface Life {
  readonly zone: keyof typeof OFFSET_MINUTES;
  readonly orderedAt: number;
  /** By minute of their beginning; null: the template is not sold. */
  readonly prices: readonly { readonly minute: number; readonly micros: number | null }[];
  readonly resizes: readonly { readonly minute: number; readonly units: number }[];
  readonly endsAt: number;
}

const minute = fc.integer({ min: 1, max: MINUTES - 1 });
/** Not on an hour of any of the zones: of two changes at one instant the second comes a millisecond later. */
const offHour = minute.filter((one) => one % 15 !== 0);
const lives: fc.Arbitrary<Life> = fc.record({
  zone: fc.constantFrom('Asia/Shanghai' as const, 'Asia/Kolkata' as const, 'Asia/Kathmandu' as const),
  orderedAt: fc.integer({ min: 0, max: 100 }),
  prices: fc.uniqueArray(
    fc.record({ minute, micros: fc.option(fc.integer({ min: 1, max: 9_999_999 }), { freq: 4 }) }),
    { maxLength: 6, selector: (price) => price.minute },
  ),
  resizes: fc.uniqueArray(fc.record({ minute: offHour, units: fc.integer({ min: 1, max: 4 }) }), {
    maxLength: 4,
    selector: (resize) => resize.minute,
  }),
  endsAt: fc.integer({ min: 101, max: 2 * MINUTES }).filter((one) => one % 15 !== 0),
});

/** Micros, by a path of its own: every minute's units × the price of its hour's beginning, or of the order where later. */
function onPaper({ zone, orderedAt, prices, resizes, endsAt }: Life): bigint {
  const priceBy = (atMinute: number) => {
    const begun = prices.filter((price) => price.minute <= atMinute && price.micros !== null);
    return BigInt(begun.toSorted((a, b) => b.minute - a.minute)[0]?.micros ?? 3_600_000);
  };
  const soldAt = (atMinute: number) => {
    const begun = prices.filter((price) => price.minute <= atMinute).toSorted((a, b) => b.minute - a.minute);
    return begun[0]?.micros !== null;
  };
  let units = 1n;
  let numerator = 0n;
  for (let now = orderedAt; now < Math.min(endsAt, MINUTES); now++) {
    const wanted = resizes.find((resize) => resize.minute === now && now > orderedAt)?.units;
    if (wanted !== undefined && (BigInt(wanted) <= units || soldAt(now))) units = BigInt(wanted);
    const pastHour = (now + 600 + OFFSET_MINUTES[zone] - 480) % 60;
    numerator += units * 60n * priceBy(Math.max(orderedAt, now - pastHour));
  }
  const [whole, rest] = [numerator / 3600n, (numerator % 3600n) * 2n];
  return rest > 3600n || (rest === 3600n && whole % 2n === 1n) ? whole + 1n : whole;
}

/** Lives it, the jobs every so many minutes; the group's charge in the end, its bills, its segments. */
async function live(life: Life, jobsEvery: number) {
  const { control } = await pricedWorld();
  control.nowMs = START_MS - 120 * MINUTE_MS;
  for (const [index, price] of life.prices.entries()) {
    const validFrom = new Date(START_MS + price.minute * MINUTE_MS).toISOString();
    const micros = price.micros ?? 1;
    const alpha = { hourly: `${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')}` };
    const other = { templateId: 'beta-local' };
    await importBook(control, bookOf(`v${index}`, validFrom, price.micros === null ? other : alpha));
  }
  const { tenantId } = await control.call(tenantCreate, OPERATOR, { name: 'acme', zone: life.zone });
  await control.call(walletTopUp, OPERATOR, { tenantId, amount: '100000' });
  let groupId = '';
  for (let now = life.orderedAt; now < MINUTES; now++) {
    control.nowMs = START_MS + now * MINUTE_MS;
    if (now === life.orderedAt) groupId = await order(control, tenantId);
    if (groupId === '') return null;
    if (now % jobsEvery === 0) await runJobs(control);
    const units = life.resizes.find((resize) => resize.minute === now && now > life.orderedAt)?.units;
    if (units !== undefined && now < life.endsAt) {
      await control.call(orderResize, OPERATOR, { groupId, units }).catch(() => undefined);
      await control.provisioned();
    }
    if (now === life.endsAt) await control.call(orderUnsubscribe, OPERATOR, { groupId });
  }
  control.nowMs = START_MS + MINUTES * MINUTE_MS;
  await runJobs(control);
  const charge = (await control.call(groupShow, OPERATOR, { groupId })).charge.amount;
  control.nowMs += 240 * MINUTE_MS;
  await runJobs(control);
  const { db } = control.store;
  const lines = await db.selectFrom('bill_lines').select(['amount_micros', 'arithmetic']).orderBy('id').execute();
  const columns = ['from_ms', 'units', 'hourly_price_micros', 'price_version'] as const;
  const segments = await db.selectFrom('group_segments').select(columns).orderBy('from_ms').execute();
  expect(await checkLedger(db)).toMatchObject({ balanced: true, problems: [] });
  return { charge, lines, segments };
}

/** '': the template is not sold then. */
async function order(control: TestControl, tenantId: string): Promise<string> {
  const models = [{ modelId: 'alpha', templateId: 'alpha-local', units: 1 }];
  try {
    const made = await control.call(endpointCreate, OPERATOR, { tenantId, name: 'chat', models });
    await control.provisioned();
    return made.groups[0]!.groupId;
  } catch {
    return '';
  }
}

test('a group costs what its minutes cost, however seldom the jobs run', async () => {
  await fc.assert(
    fc.asyncProperty(lives, async (life) => {
      const often = await live(life, 7);
      if (often === null) return;
      expect(BigInt(often.charge.replace('.', ''))).toBe(onPaper(life));
      expect(await live(life, 90)).toEqual(often);
      expect(await live(life, 10 * MINUTES)).toEqual(often);
    }),
    { numRuns: 4 },
  );
});
