import { Registry } from 'prom-client';
import type { Estimate, Reservation } from '../../core/serving/admission.ts';
import type { Counters } from '../../counters/port.ts';
import type { GatewayDeps } from '../../gateway/deps.ts';
import { DEFAULT_LIMITS } from '../../gateway/limits.ts';
import { ServedModel } from '../../gateway/served.ts';
import { exchangeLeases, type Line as WaitingLine } from '../../gateway/sharing.ts';
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
}

const UNITS = 4;
const STEP_MS = 10;
const LEASE_EVERY_STEPS = 10;
const WORK_US = { min: 100_000, mean: 400_000 };
const LINE_MAX = 200;
/** As src/gateway/sharing.ts has it. */
const GAP_MS = 25;

interface Waiting {
  readonly estimate: Estimate;
}

interface Line {
  readonly key: string;
  readonly ratePerS: number;
  readonly waiting: Waiting[];
  /** For its weight. */
  servedUs: number;
}

interface Site {
  readonly id: string;
  readonly model: ServedModel;
  readonly lines: readonly Line[];
  weights: Readonly<Record<string, number>>;
  readonly running: { readonly key: string; readonly reservation: Reservation; readonly endMs: number }[];
  urgent: boolean;
  askedAtMs: number;
}

/**
 * Gateways with the admission, demand and leases that they run, over `counters` that are on the clock of `clock`; each with a line for
 * every key, of which the one that was served least for its weight goes first. All keys together ask for more than there is.
 */
export async function simulateSharing(options: {
  readonly scenario: Scenario;
  readonly counters: Pick<Counters, 'exchange'>;
  readonly clock: { nowMs: number };
  readonly seconds: number;
  readonly seed: number;
}): Promise<SharingFigures> {
  const { scenario, counters, clock, seconds } = options;
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
    for (const [index, site] of sites.entries()) {
      settle(site, nowMs, random);
      requests += arrive(site, nowMs, random);
      // Each at its own moment, as real ones would.
      if ((step + index * 3) % LEASE_EVERY_STEPS === 0 || (site.urgent && nowMs >= site.askedAtMs + GAP_MS)) {
        site.urgent = false;
        site.askedAtMs = nowMs;
        exchanges += 1;
        const lineOf = () => lineOfSite(site);
        const [lease] = await exchangeLeases({
          models: [site.model],
          counters,
          gatewayId: site.id,
          monotonicMs,
          lineOf,
        });
        site.weights = lease?.weights ?? {};
      }
      admitFrom(site, nowMs, (key, us) => {
        if (nowMs > warmMs) work.set(key, work.get(key)! + us);
      });
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
  };
}

function sitesOf({ keys }: Scenario, monotonicMs: () => number): Site[] {
  const count = Object.values(keys)[0]!.length;
  return Array.from({ length: count }, (_, index) => {
    const model = new ServedModel(SNAPSHOT, depsOf(monotonicMs), DEFAULT_LIMITS);
    const lines = Object.entries(keys).map(([key, rates]) => ({
      key,
      ratePerS: rates[index]!,
      waiting: [],
      servedUs: 0,
    }));
    return { id: `gateway-${index}`, model, lines, weights: {}, running: [], urgent: false, askedAtMs: 0 };
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

/** Requests that came in this step; those beyond a full line are refused, as an endpoint would. */
function arrive(site: Site, nowMs: number, random: () => number): number {
  let came = 0;
  for (const line of site.lines) {
    if (random() >= (line.ratePerS * STEP_MS) / 1_000) continue;
    came += 1;
    const us = Math.floor(WORK_US.min - (WORK_US.mean - WORK_US.min) * Math.log(1 - random()));
    const estimate = { work: { prefillUs: us, decodeUs: 0 }, kvTokens: 100, outputTokens: 10, sequences: 1 };
    site.model.demand.asked(line.key, estimate, nowMs);
    if (line.waiting.length < LINE_MAX) line.waiting.push({ estimate });
  }
  return came;
}

/** The line of the key that was served least for its weight here. */
function nextLine(site: Site): Line | undefined {
  return site.lines.filter(({ waiting }) => waiting.length > 0).toSorted((a, b) => a.servedUs - b.servedUs)[0];
}

function lineOfSite(site: Site): WaitingLine {
  const waiting = site.lines.flatMap((line) => line.waiting);
  const workUs = sumOf(waiting.map(({ estimate }) => estimate.work.prefillUs));
  return { size: waiting.length, workUs, next: nextLine(site)?.waiting[0]?.estimate ?? null };
}

function admitFrom(site: Site, nowMs: number, admitted: (key: string, us: number) => void): void {
  for (;;) {
    const line = nextLine(site);
    if (line === undefined) return;
    const { estimate } = line.waiting[0]!;
    const fit = site.model.admission.fit(estimate, nowMs);
    if (!fit.fits) {
      site.urgent = fit.because === 'lease';
      return;
    }
    line.waiting.shift();
    const us = estimate.work.prefillUs;
    line.servedUs += us / Math.max(0.01, site.weights[line.key] ?? 1);
    const reservation = site.model.reserve({ keyId: line.key, tenantId: 't' }, estimate);
    site.running.push({ key: line.key, reservation, endMs: nowMs + 2_000 });
    admitted(line.key, us);
  }
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
