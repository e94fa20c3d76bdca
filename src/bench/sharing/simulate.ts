import { Registry } from 'prom-client';
import type { Reservation } from '../../core/serving/admission.ts';
import type { Counters } from '../../counters/port.ts';
import type { GatewayDeps } from '../../gateway/deps.ts';
import { DEFAULT_LIMITS } from '../../gateway/limits.ts';
import { ServedModel } from '../../gateway/served.ts';
import { exchangeLeases, nextLeaseMs, soonestLeaseMs } from '../../gateway/sharing.ts';
import type { ServedModelSnapshot } from '../../gateway/snapshot.ts';
import { seededRandom } from '../../workload/random.ts';

/** Who asks where: requests a second of one key at each gateway. */
export interface Scenario {
  readonly name: string;
  readonly keys: Readonly<Record<string, readonly number[]>>;
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'even', keys: { k1: [4, 4, 4], k2: [4, 4, 4], k3: [4, 4, 4], k4: [4, 4, 4] } },
  { name: 'one gateway gets 90 %', keys: { k1: [12, 0.7, 0.6], k2: [12, 0.7, 0.6], k3: [12, 0.7, 0.6] } },
  // Keys that call one gateway each beside one that calls all three.
  { name: 'keys apart', keys: { k1: [8, 0, 0], k2: [0, 8, 0], k3: [4, 4, 4], k4: [0, 0, 8] } },
];

export interface SharingFigures {
  readonly scenario: string;
  readonly gateways: number;
  readonly units: number;
  readonly simulatedS: number;
  readonly requests: number;
  /** Work let in and not given back in the time that was measured ÷ what the units supply in it. */
  readonly admittedShare: number;
  /** The most that was ever let in above capacity + units × time since the beginning; unit-microseconds. */
  readonly overshootUs: number;
  /** By key: its work ÷ an equal share of all. */
  readonly keyShares: Readonly<Record<string, number>>;
  readonly keyDeviationMax: number;
  readonly gatewayShares: readonly number[];
  readonly exchanges: number;
  readonly requestsPerExchange: number;
  /** Of one gateway. */
  readonly exchangesPerSecond: number;
}

const UNITS = 4;
const STEP_MS = 10;
const WORK_US = { min: 100_000, mean: 400_000 };
const WAIT_MS_MAX = 30_000;
const RUN_MS = 2_000;
/** As src/gateway/sharing.ts has it. */
const GAP_MS = 25;

interface Line {
  readonly key: string;
  readonly ratePerS: number;
}

interface Site {
  readonly id: string;
  readonly model: ServedModel;
  readonly lines: readonly Line[];
  readonly running: { readonly key: string; readonly reservation: Reservation; readonly endMs: number }[];
  /** Of the next lease. */
  dueMs: number;
  soonestMs: number;
  askedAtMs: number;
}

/**
 * Gateways with the admission, queue, demand and leases that they run, over `counters` that are on the clock of `clock`. All keys
 * together ask for more than there is, unless `load`, by which rates are multiplied, is low.
 */
export async function simulateSharing(options: {
  readonly scenario: Scenario;
  readonly counters: Pick<Counters, 'exchange'>;
  readonly clock: { nowMs: number };
  readonly seconds: number;
  readonly seed: number;
  readonly load?: number;
}): Promise<SharingFigures> {
  const { scenario, counters, clock, seconds, load = 1 } = options;
  const random = seededRandom(options.seed);
  const startMs = clock.nowMs;
  const monotonicMs = () => clock.nowMs - startMs;
  const sites = sitesOf(scenario, monotonicMs);
  const work = new Map<string, number>(Object.keys(scenario.keys).map((key) => [key, 0]));
  const warmMs = (seconds * 1_000) / 4;
  const capacityUs = sites[0]!.model.admission.view(0).capacityUs;
  let [exchanges, requests, overshootUs] = [0, 0, 0];
  let atWarm: number[] = [];
  for (let step = 0; step * STEP_MS < seconds * 1_000; step += 1) {
    clock.nowMs += STEP_MS;
    const nowMs = monotonicMs();
    const admitted = (key: string, us: number) => {
      if (nowMs > warmMs) work.set(key, work.get(key)! + us);
    };
    for (const site of sites) {
      settle(site, nowMs, random);
      requests += arrive(site, { monotonicMs, random, load, admitted });
      if (site.dueMs <= nowMs && nowMs >= site.askedAtMs + GAP_MS) {
        exchanges += 1;
        await lease(site, counters, monotonicMs);
      }
      site.model.pump();
    }
    const spent = sites.map(({ model }) => model.admission.spentUs);
    if (nowMs <= warmMs) atWarm = spent;
    overshootUs = Math.max(overshootUs, sumOf(spent) - capacityUs - UNITS * 1_000 * nowMs);
  }
  const spent = sites.map(({ model }, index) => model.admission.spentUs - atWarm[index]!);
  for (const { model } of sites) model.retire();
  const all = sumOf([...work.values()]);
  const keyShares = Object.fromEntries(Array.from(work, ([key, us]) => [key, (us * work.size) / all]));
  return {
    scenario: scenario.name,
    gateways: sites.length,
    units: UNITS,
    simulatedS: seconds,
    requests,
    admittedShare: sumOf(spent) / (UNITS * 1_000 * (seconds * 1_000 - warmMs)),
    overshootUs,
    keyShares,
    keyDeviationMax: Math.max(...Object.values(keyShares).map((share) => Math.abs(share - 1))),
    gatewayShares: spent.map((us) => us / sumOf(spent)),
    exchanges,
    requestsPerExchange: requests / exchanges,
    exchangesPerSecond: exchanges / sites.length / seconds,
  };
}

function sitesOf({ keys }: Scenario, monotonicMs: () => number): Site[] {
  const count = Object.values(keys)[0]!.length;
  return Array.from({ length: count }, (_, index) => {
    const model = new ServedModel(SNAPSHOT, depsOf(monotonicMs), DEFAULT_LIMITS);
    const lines = Object.entries(keys).map(([key, rates]) => ({
      key,
      ratePerS: rates[index]!,
    }));
    const site: Site = {
      id: `gateway-${index}`,
      model,
      lines,
      running: [],
      // Each at its own moment, as real ones would.
      dueMs: index * 30,
      soonestMs: 0,
      askedAtMs: Number.NEGATIVE_INFINITY,
    };
    model.askLease = () => {
      site.dueMs = Math.min(site.dueMs, site.soonestMs);
    };
    return site;
  });
}

function settle(site: Site, nowMs: number, random: () => number): void {
  while (site.running.length > 0 && site.running[0]!.endMs <= nowMs) {
    const { key, reservation } = site.running.shift()!;
    // Estimates are upper quantiles: most requests give some back.
    const part = 0.6 + 0.4 * random();
    const { prefillUs, decodeUs } = reservation.work;
    site.model.settle(key, reservation, { prefillUs: Math.floor(prefillUs * part), decodeUs });
  }
}

interface Arrivals {
  readonly monotonicMs: () => number;
  readonly random: () => number;
  readonly load: number;
  readonly admitted: (key: string, us: number) => void;
}

/** Requests that came in this step; those that find the queue full, or wait too long, are refused. */
function arrive(site: Site, { monotonicMs, random, load, admitted }: Arrivals): number {
  const nowMs = monotonicMs();
  let came = 0;
  for (const { key: id, ratePerS } of site.lines) {
    if (random() >= (load * ratePerS * STEP_MS) / 1_000) continue;
    came += 1;
    const workUs = Math.floor(WORK_US.min - (WORK_US.mean - WORK_US.min) * Math.log(1 - random()));
    const share = { id, weight: 1 };
    const estimate = { work: { prefillUs: workUs, decodeUs: 0 }, kvTokens: 100, outputTokens: 10, sequences: 1 };
    site.model.demand.asked(share, estimate, nowMs);
    site.model.enqueue({
      key: { keyId: id, tenantId: 't' },
      estimate,
      workUs,
      bytes: 1_000,
      deadlineMs: nowMs + WAIT_MS_MAX,
      shares: [share],
      admit(reservation) {
        site.running.push({ key: id, reservation, endMs: monotonicMs() + RUN_MS });
        admitted(id, workUs);
      },
      expire() {},
    });
  }
  return came;
}

async function lease(site: Site, counters: Pick<Counters, 'exchange'>, monotonicMs: () => number): Promise<void> {
  const nowMs = monotonicMs();
  site.askedAtMs = nowMs;
  site.dueMs = Number.POSITIVE_INFINITY;
  const [got] = await exchangeLeases({ models: [site.model], counters, gatewayId: site.id, monotonicMs });
  site.soonestMs = nowMs + soonestLeaseMs(site.model, got!);
  site.dueMs = Math.max(site.soonestMs, Math.min(site.dueMs, nowMs + nextLeaseMs(site.model, got!, nowMs)));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

const capabilities = { chat: true, completion: true, embedding: false, structuredOutput: false, tools: false };
const SNAPSHOT: ServedModelSnapshot = {
  servedModelId: 'sm-sharing',
  modelId: 'simulated',
  trafficPercent: 100,
  contextTokens: 8_192,
  capabilities,
  coefficients: { p0Us: 0, p1Us: 1, p2Us: 0, d1Us: 1, d2Us: 0 },
  batchPerUnit: 64,
  kvTokensPerUnit: 1_000_000,
  disaggregated: false,
  startupMs: 1_000,
  unitsMax: UNITS,
  replicas: Array.from({ length: UNITS }, (_, index) => ({
    replicaId: `rep-${index}`,
    role: 'unified' as const,
    state: 'ready' as const,
    address: { kind: 'llama' as const, socketPath: 'none' },
    startedAtMs: 0,
  })),
};

function depsOf(monotonicMs: () => number): GatewayDeps {
  const quiet = () => {};
  return {
    connect: (address) => ({
      address,
      send: () => Promise.reject(new Error('Nothing is sent here.')),
      countTokens: async () => null,
      health: async () => ({ ok: true, reason: null }),
      metrics: () => Promise.reject(new Error('There are none here.')),
      loadAdapter: async () => {},
      unloadAdapter: async () => {},
      close: async () => {},
    }),
    knownFields: () => new Set(),
    now: monotonicMs,
    monotonicMs,
    newRequestId: () => 'none',
    record: quiet,
    log: { info: quiet, warn: quiet, error: quiet },
    registry: new Registry(),
  };
}
