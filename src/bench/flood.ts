import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULT_MODEL_ID } from '../catalog/default.ts';
import { createClient } from '../cli/client.ts';
import { weightsWithProgress } from '../cli/weights.ts';
import { loadConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { startCubit } from '../main.ts';
import { type Phase, phase, type Sample, type Tenant } from './flood/traffic.ts';
import { percentilesOf } from './statistics.ts';

/**
 * `npm run bench:flood`: two tenants on one pool of the real embedded engine, on state of its own. One sends a request now
 * and then; in every other phase the other floods, open loop, many times what the unit can do. Prints the first tenant's
 * time to first token, waiting included, alone and under the flood. Phases are short and take turns, so that what else the
 * machine does meets both; after `--minutes` no more begin.
 */
const { values: flags } = parseArgs({
  options: {
    requests: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '8' },
    minutes: { type: 'string', default: '4' },
    'flood-per-s': { type: 'string', default: '4' },
    'prompt-tokens': { type: 'string', default: '100' },
    json: { type: 'boolean', default: false },
  },
});
const [requests, rounds, minutes] = [whole('requests', 1, 1_000), whole('rounds', 1, 100), whole('minutes', 1, 60)];
const [floodPerS, promptTokens] = [whole('flood-per-s', 1, 100), whole('prompt-tokens', 20, 1_500)];
const READY_MS_MAX = 120_000;
const GOAL = 1.5;

const dataDir = mkdtempSync(join(tmpdir(), 'cubit-flood-'));
const config = loadConfig({ dataDir, port: 0, demo: false, access: 'open' });
const cubit = await startCubit(config, {
  log: createLog({ level: 'warn', file: join(dataDir, 'cubit.log') }),
  getWeights: (weights) => weightsWithProgress(weights, config.cacheDir, config.weights),
});
try {
  report(await run());
} finally {
  await cubit.close(0);
  rmSync(dataDir, { recursive: true, force: true });
}

async function run() {
  const operator = createClient({ url: cubit.url, token: cubit.operatorToken, data: dataDir });
  const post = async (path: string, body: unknown) =>
    (await operator.call('POST', path, body)) as Record<string, string>;
  const unlimited = { rpm: 100_000, tpm: 100_000_000 };
  await post('/pools', { modelId: DEFAULT_MODEL_ID, units: 1, ...unlimited });
  const tenant = async (name: string): Promise<Tenant> => {
    const { tenantId } = await post('/tenants', { name });
    await post('/wallet/top-ups', { tenantId, amount: '100' });
    const models = [{ modelId: DEFAULT_MODEL_ID }];
    await post('/endpoints', { tenantId, name: 'chat', accessMode: 'pay_per_token', models });
    const { key = '' } = await post('/keys', { tenantId, name: 'bench' });
    return { url: cubit.url, apiKey: key, model: 'chat' };
  };
  const [one, other] = [await tenant('quiet'), await tenant('flood')];
  await untilReady();
  const shape = { requests, promptTokens, floodPerS };
  await phase(one, null, { ...shape, requests: 2 }, 0);
  const [alone, under]: [Phase[], Phase[]] = [[], []];
  const endMs = performance.now() + minutes * 60_000;
  for (let round = 0; round < rounds && performance.now() < endMs; round += 1) {
    alone.push(await phase(one, null, shape, 1 + 2 * round));
    under.push(await phase(one, other, shape, 2 + 2 * round));
    const last = [alone, under].map((phases) => medianMs(phases.at(-1)?.samples ?? []).toFixed(0));
    const load = under.at(-1)?.loadAverage.toFixed(1);
    console.error(`round ${round + 1} of ${rounds}: p50 alone ${last[0]} ms, under flood ${last[1]} ms (load ${load})`);
  }
  return { alone, under };
}

function medianMs(samples: readonly Sample[]): number {
  return percentilesOf(samples.map(({ ttftMs }) => ttftMs))?.p50 ?? Number.NaN;
}

async function untilReady(): Promise<void> {
  for (const startMs = performance.now(); ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    if (cubit.stats().servedModels.some(({ readyUnits }) => readyUnits > 0)) return;
    if (performance.now() - startMs > READY_MS_MAX) throw new Error('the unit did not become ready');
  }
}

function report({ alone, under }: Awaited<ReturnType<typeof run>>): void {
  const [quietAlone, quietUnder] = [figuresOf(alone), figuresOf(under)];
  const dropped = under.reduce((total, phase) => total + phase.dropped, 0);
  const load = loads([...alone, ...under]);
  const result = {
    alone: quietAlone,
    underFlood: quietUnder,
    p50Ratio: quietUnder.ttftMs.p50 / quietAlone.ttftMs.p50,
    p95Ratio: quietUnder.ttftMs.p95 / quietAlone.ttftMs.p95,
    goal: GOAL,
    flood: { perS: floodPerS, ends: endsOf(under.map(({ floodEnds }) => floodEnds)), dropped },
    loadAverage: { from: Math.min(...load), to: Math.max(...load) },
  };
  if (flags.json) {
    console.log(JSON.stringify(result, null, 2));
    return;
  }
  const row = ({ ttftMs, waitMs, ends }: typeof quietAlone) =>
    `p50 ${ttftMs.p50.toFixed(0)} ms, p95 ${ttftMs.p95.toFixed(0)} ms; of it waiting to be let in p95 ` +
    `${waitMs.p95.toFixed(0)} ms (${JSON.stringify(ends)})`;
  console.log(`quiet tenant's TTFT alone:       ${row(quietAlone)}`);
  console.log(`quiet tenant's TTFT under flood: ${row(quietUnder)}`);
  console.log(`under flood ÷ alone:             p50 ${result.p50Ratio.toFixed(2)}, p95 ${result.p95Ratio.toFixed(2)}`);
  console.log(`goal:                            p95 at most ${GOAL}`);
  console.log(`flood:                           ${JSON.stringify(result.flood)}`);
  console.log(`load average of the machine:     ${JSON.stringify(result.loadAverage)}`);
}

function figuresOf(phases: readonly Phase[]) {
  const samples = phases.flatMap((phase) => phase.samples);
  const ttftMs = percentilesOf(samples.map((sample) => sample.ttftMs));
  const waitMs = percentilesOf(samples.map((sample) => sample.waitMs));
  const ends = endsOf(phases.map(({ quietEnds }) => quietEnds));
  if (ttftMs !== null && waitMs !== null) return { ttftMs, waitMs, ends };
  throw new Error(`the quiet tenant got no answer: ${JSON.stringify(ends)}`);
}

function endsOf(parts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const part of parts) for (const [end, times] of Object.entries(part)) all[end] = (all[end] ?? 0) + times;
  return all;
}

function loads(phases: readonly Phase[]): readonly number[] {
  return phases.map(({ loadAverage }) => loadAverage);
}

function whole(name: keyof typeof flags, min: number, max: number): number {
  const value = Number(flags[name]);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  console.error(`error: --${name} wants a whole number from ${min} to ${max}, not “${flags[name]}”`);
  process.exit(2);
}
