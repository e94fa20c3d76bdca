import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createDatabase, startLocalPostgres } from '../store/local-postgres.ts';
import { openStore, type Store, type StoreOptions } from '../store/store.ts';
import { history, hourRuns } from './commerce/runs.ts';

/**
 * `npm run bench:commerce`: what settling costs, on SQLite (a file, every commit on the disk) and on a real PostgreSQL
 * of its own, likewise durable.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    endpoints: { type: 'string', default: '1000' },
    groups: { type: 'string', default: '1000' },
    hours: { type: 'string', default: '720' },
    'postgres-hours': { type: 'string', default: '240' },
  },
});
const RUNS = 3;

async function withStore<T>(options: StoreOptions, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(options);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** Both measurements, each on a fresh database. */
async function measure(name: string, hours: number, fresh: (run: string) => Promise<StoreOptions>) {
  say(`${name}: hour-runs`);
  const runs = await withStore(await fresh('runs'), (store) => hourRuns(store, count('endpoints'), RUNS));
  const progress = (hour: number) => (hour % 24 === 0 ? say(`${name}: history, ${hour} of ${hours} hours`) : undefined);
  const size = { groups: count('groups'), hours, onFile: name === 'SQLite' };
  return { hourRun: runs, history: await withStore(await fresh('history'), (store) => history(store, size, progress)) };
}

async function onSqlite() {
  const folder = mkdtempSync(join(tmpdir(), 'cubit-bench-'));
  try {
    return await measure('SQLite', count('hours'), async (run) => ({ path: join(folder, `${run}.db`) }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function onPostgres() {
  const server = await startLocalPostgres({ durable: true });
  try {
    return await measure('PostgreSQL', count('postgres-hours'), async (run) => ({
      postgresUrl: await createDatabase(server.url, run),
    }));
  } finally {
    await server.stop();
  }
}

function count(name: 'endpoints' | 'groups' | 'hours' | 'postgres-hours'): number {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= 10 && number <= 100_000) return number;
  console.error(`--${name} has to be a whole number from 10 to 100000`);
  process.exit(2);
}

function say(line: string): void {
  if (process.stderr.isTTY) console.error(line);
}

const startLoad = loadavg()[0];
const report = {
  node: process.version,
  cores: availableParallelism(),
  sqlite: await onSqlite(),
  postgres: await onPostgres(),
  load: { start: startLoad, end: loadavg()[0] },
};
if (values.json) {
  console.log(JSON.stringify(report, null, 2));
} else {
  for (const [name, { hourRun, history: past }] of Object.entries({
    SQLite: report.sqlite,
    PostgreSQL: report.postgres,
  })) {
    console.log(`${name}: ${hourRun.bills} bills, ${hourRun.lines} lines an hour-run: ${hourRun.runMs.join(', ')} ms`);
    const { at1x, at10x } = past.perLine;
    console.log(
      `${name}: ${past.lines} lines in ${past.seconds} s; at 1× and 10× history an hour-run of ${past.groups} groups takes ${past.hourRunMs.at1x} and ${past.hourRunMs.at10x} ms,`,
    );
    console.log(
      `${name}: a line ${at1x.us} and ${at10x.us} µs (×${past.ratio.us}), of the processor ${at1x.cpuUs} and ${at10x.cpuUs} µs (×${past.ratio.cpuUs})${at1x.diskBytes === null ? '' : `, to the disk ${at1x.diskBytes} and ${at10x.diskBytes} bytes (×${past.ratio.diskBytes})`}`,
    );
    for (const { hour, rss, heap } of past.memoryMb)
      console.log(`${name}: memory after hour ${hour}: ${rss} MiB resident, ${heap} MiB heap`);
  }
}
