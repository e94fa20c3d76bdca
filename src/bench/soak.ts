import { parseArgs } from 'node:util';
import { check } from './soak/check.ts';
import { simulate } from './soak/simulate.ts';

/**
 * `npm run soak:commerce -- --seed N`: a year of chance by one seed, then every account, bill, term and lot is computed
 * again by other code from what happened. Exit code 1, and the seed, when anything differs.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    days: { type: 'string', default: '365' },
    tenants: { type: 'string', default: '4' },
    json: { type: 'boolean', default: false },
  },
});
const DEATH_PERCENT = 10;

const seed = whole('seed', 0, 2 ** 32 - 1);
const days = whole('days', 1, 3650);
const tenants = whole('tenants', 1, 100);
let shownDay = 0;
const progress = (day: number) => {
  if (!process.stderr.isTTY || day < shownDay + 10) return;
  shownDay = day;
  console.error(`day ${day} of ${days}`);
};

const startedAt = performance.now();
try {
  const { mortal, events, counts } = await simulate({ seed, days, tenants, deathPercent: DEATH_PERCENT, progress });
  const faults = await check(mortal.store.db, events);
  const { bills } = await mortal.store.db
    .selectFrom('bills')
    .select((eb) => eb.fn.countAll<number>().as('bills'))
    .executeTakeFirstOrThrow();
  const notices = await mortal.store.db.selectFrom('notices').select('kind').execute();
  await mortal.store.close();
  const happened = tally([...events, ...notices].map((event) => event.kind));
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  report({ seed, days, tenants, ...counts, happened, bills, seconds, faults });
} catch (error) {
  console.error(`seed ${seed}: the simulation ended with an error`);
  throw error;
}

function report(result: { seed: number; faults: string[] } & Record<string, unknown>): void {
  if (values.json) console.log(JSON.stringify(result, null, 2));
  else
    for (const [name, value] of Object.entries(result))
      console.log(`${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`);
  if (result.faults.length === 0) return;
  console.error(`seed ${result.seed}: accounts, bills, terms or lots are not what the events say`);
  process.exitCode = 1;
}

/** How often each kind of event came, and each kind of notice. */
function tally(kinds: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of kinds.toSorted()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function whole(name: 'seed' | 'days' | 'tenants', min: number, max: number): number {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= min && number <= max) return number;
  console.error(`--${name} has to be a whole number from ${min} to ${max}`);
  process.exit(2);
}
