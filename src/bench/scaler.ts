import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadCatalog } from '../catalog/load.ts';
import type { Catalog } from '../catalog/schema.ts';
import { newId } from '../control/call.ts';
import { replicaIdOf } from '../control/units.ts';
import type { ReplicaStatus } from '../fleet/port.ts';
import { Scaler } from '../scaler/loop.ts';
import type { ServedSignals } from '../scaler/observe.ts';
import { insertAll } from '../store/bulk.ts';
import { createDatabase, startLocalPostgres } from '../store/local-postgres.ts';
import { openStore, type Store, type StoreOptions } from '../store/store.ts';

/**
 * `npm run bench:scaler`: what one turn of the scaler costs with many elastic groups, lease, reads, decisions and writes
 * together, on SQLite (a file) and on a real PostgreSQL of its own, both durable. Each turn, load changes for a share of
 * the groups.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    endpoints: { type: 'string', default: '10000' },
    turns: { type: 'string', default: '40' },
    'changed-percent': { type: 'string', default: '1' },
  },
});
const [ENDPOINTS, TURNS, CHANGED_PERCENT] = [values.endpoints, values.turns, values['changed-percent']].map(Number) as [
  number,
  number,
  number,
];
const TICK_MS = 5_000;
/** Turns in which nothing is known yet, not counted. */
const FIRST_TURNS = 8;
const START_MS = Date.UTC(2026, 0, 5);

const nameOf = (kind: string, i: number) => `${kind}-${String(i).padStart(6, '0')}`;

async function seed({ db }: Store, templateId: string): Promise<void> {
  const each = Array.from({ length: ENDPOINTS }, (_, i) => i);
  const at = { tenant_id: 't-1', created_at_ms: START_MS };
  await db.transaction().execute(async (trx) => {
    const tenant = { id: 't-1', name: 'bench', zone: 'UTC', currency: 'CNY', created_at_ms: START_MS };
    await trx.insertInto('tenants').values(tenant).execute();
    const endpoint = { ...at, access_mode: 'model_units', overflow_policy: 'queue', max_wait_ms: 0 } as const;
    await insertAll(
      trx,
      'endpoints',
      each.map((i) => ({ ...endpoint, id: nameOf('ep', i), name: nameOf('e', i), deleted_at_ms: null })),
    );
    const ids = (i: number) => ({ endpoint_id: nameOf('ep', i), template_id: templateId, ...at });
    const model = { model_id: 'm', coefficient: 1, traffic_percent: 100 };
    await insertAll(
      trx,
      'served_models',
      each.map((i) => ({ ...ids(i), ...model, id: nameOf('sm', i) })),
    );
    const group = { billing_type: 'postpaid', units: 1, state: 'active', billed_from_ms: START_MS } as const;
    const named = (i: number) => ({ ...ids(i), id: nameOf('ig', i), served_model_id: nameOf('sm', i) });
    await insertAll(
      trx,
      'instance_groups',
      each.map((i) => ({ ...named(i), ...group, ended_at_ms: null })),
    );
    const price = { from_ms: START_MS, units: 1, hourly_price_micros: 3_600_000n, price_version: '1' };
    await insertAll(
      trx,
      'group_segments',
      each.map((i) => ({ id: nameOf('gs', i), group_id: nameOf('ig', i), ...price })),
    );
    const rule = { tenant_id: 't-1', max_units: 20, rule_json: '{"zone":"UTC"}', changed_at_ms: START_MS };
    await insertAll(
      trx,
      'elastic_rules',
      each.map((i) => ({ group_id: nameOf('ig', i), served_model_id: nameOf('sm', i), ...rule })),
    );
  });
}

/** Nothing to do, but for those whose load rose: their unit is full. */
class Load {
  readonly #risen = new Set<number>();
  #next = 0;
  readonly replicas: readonly ReplicaStatus[];

  constructor(templateId: string) {
    const status = {
      templateId,
      role: 'unified',
      state: 'ready',
      restarts: 0,
      failure: null,
      timeScale: null,
    } as const;
    this.replicas = Array.from({ length: ENDPOINTS }, (_, i) => ({
      ...status,
      replicaId: replicaIdOf(nameOf('ig', i), 0),
      servedModelId: nameOf('sm', i),
      address: null,
      startedAtMs: START_MS,
      readyAtMs: START_MS,
    })) as readonly ReplicaStatus[];
  }

  rise(): void {
    for (let i = 0; i < (ENDPOINTS * CHANGED_PERCENT) / 100; i += 1) {
      this.#risen.add(this.#next % ENDPOINTS);
      this.#next += 1;
    }
  }

  signals(): ServedSignals[] {
    const totals = { arrivals: 0, arrivedUs: 0, refused: 0, completed: 0, prefillUs: 0 };
    const times = { ttftMsSum: 0, ttftCount: 0, tpotMsSum: 0, tpotCount: 0 };
    const pools = {
      batchPerUnit: 8,
      kvTokensPerUnit: 16_384,
      kvTokensLikely: 0,
      prefillStretch: 1,
      queued: 0,
      queuedUs: 0,
    };
    return this.replicas.map(({ replicaId }, i) => {
      const runningOn = new Map([[replicaId, this.#risen.has(i) ? 8 : 0]]);
      return { servedModelId: nameOf('sm', i), ...pools, ...totals, ...times, runningOn, unfit: new Map() };
    });
  }
}

async function measure(name: string, options: StoreOptions, catalog: Catalog) {
  const store = await openStore(options);
  try {
    const templateId = [...catalog.templates.values()].find(({ kind }) => kind === 'single')?.id ?? '';
    await seed(store, templateId);
    const load = new Load(templateId);
    let nowMs = START_MS;
    // What gateways tell is built by them, not in the turn.
    let served: readonly ServedSignals[] = [];
    let errors = 0;
    const countError = () => {
      errors += 1;
    };
    const scaler = new Scaler({
      db: store.db,
      catalog,
      policy: { access: 'open', quotaUnits: null },
      fleet: { list: () => load.replicas, capacity: () => ({ free: 1_000_000, limit: 'none' }) },
      log: { info: () => {}, warn: () => {}, error: countError } as never,
      now: () => nowMs,
      newId,
      signals: () => [{ gatewayId: 'g', atMs: nowMs, servedModels: served }],
      startupMsOf: () => 180_000,
      changed: () => {},
      holder: 'bench',
    });
    const turnsMs: number[] = [];
    const cpuMs: number[] = [];
    for (let turn = 0; turn < FIRST_TURNS + TURNS; turn += 1) {
      nowMs += TICK_MS;
      if (turn >= FIRST_TURNS) load.rise();
      served = load.signals();
      const cpu = process.cpuUsage();
      const startedMs = performance.now();
      await scaler.turn();
      if (turn < FIRST_TURNS) continue;
      turnsMs.push(performance.now() - startedMs);
      const { system, user } = process.cpuUsage(cpu);
      cpuMs.push((system + user) / 1_000);
    }
    const { decisions } = await store.db
      .selectFrom('scaling_decisions')
      .select((eb) => eb.fn.countAll<number>().as('decisions'))
      .executeTakeFirstOrThrow();
    if (errors > 0) throw new Error(`${errors} groups could not be scaled`);
    return { store: name, turnMs: quantiles(turnsMs), cpuMs: quantiles(cpuMs), decisions: Number(decisions) };
  } finally {
    await store.close();
  }
}

function quantiles(all: readonly number[]) {
  const sorted = all.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] as number);
  return { p50: at(0.5), p95: at(0.95), max: at(1) };
}

async function onSqlite(catalog: Catalog) {
  const folder = mkdtempSync(join(tmpdir(), 'cubit-bench-'));
  try {
    return await measure('SQLite', { path: join(folder, 'cubit.db') }, catalog);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function onPostgres(catalog: Catalog) {
  const server = await startLocalPostgres({ durable: true });
  try {
    return await measure('PostgreSQL', { postgresUrl: await createDatabase(server.url, 'scaler') }, catalog);
  } finally {
    await server.stop();
  }
}

const catalog = await loadCatalog();
const results = [await onSqlite(catalog), await onPostgres(catalog)];
const loadAverage = loadavg()[0]!.toFixed(1);
const report = { endpoints: ENDPOINTS, turns: TURNS, changedPercent: CHANGED_PERCENT, loadAverage, results };
if (values.json) console.log(JSON.stringify(report, null, 2));
else {
  console.log(
    `${ENDPOINTS} elastic groups, load of ${CHANGED_PERCENT} % of them rises before each of ${TURNS} turns; load average ${loadAverage}`,
  );
  for (const { cpuMs, decisions, store, turnMs } of results) {
    console.log(`${store}: ${turnMs.p50} ms a turn, p95 ${turnMs.p95}, CPU ${cpuMs.p50} ms, ${decisions} decisions`);
  }
}
