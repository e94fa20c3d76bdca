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
import { CancelGroup } from './client.ts';
import { flood, quiet, type Tenant } from './flood/traffic.ts';
import { percentilesOf } from './statistics.ts';

/**
 * `npm run bench:flood`: two tenants on one pool of the real embedded engine, on state of its own. One sends a request now
 * and then; in every other phase the other floods, open loop, many times what the unit can do. Prints the first tenant's
 * time to first token, waiting included, alone and under the flood.
 */
const { values: flags } = parseArgs({
  options: {
    requests: { type: 'string', default: '12' },
    rounds: { type: 'string', default: '2' },
    'flood-per-s': { type: 'string', default: '4' },
    'prompt-tokens': { type: 'string', default: '150' },
    json: { type: 'boolean', default: false },
  },
});
const [requests, rounds] = [whole('requests', 1, 1_000), whole('rounds', 1, 20)];
const [floodPerS, promptTokens] = [whole('flood-per-s', 1, 100), whole('prompt-tokens', 1, 1_500)];
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
  const alone: number[] = [];
  const under: number[] = [];
  const shape = { requests, promptTokens };
  await quiet(one, { requests: 2, promptTokens }, 0);
  let flooded = { sent: 0, answered: 0, refused: 0, dropped: 0 };
  for (let round = 0; round < rounds; round += 1) {
    alone.push(...(await quiet(one, shape, 1 + 2 * round)));
    const group = new CancelGroup();
    const flooding = flood(other, floodPerS, group, round);
    under.push(...(await quiet(one, shape, 2 + 2 * round)));
    group.cancel();
    const more = await flooding;
    flooded = {
      sent: flooded.sent + more.sent,
      answered: flooded.answered + more.answered,
      refused: flooded.refused + more.refused,
      dropped: flooded.dropped + more.dropped,
    };
  }
  return { alone, under, flooded };
}

async function untilReady(): Promise<void> {
  for (const startMs = performance.now(); ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    if (cubit.stats().servedModels.some(({ readyUnits }) => readyUnits > 0)) return;
    if (performance.now() - startMs > READY_MS_MAX) throw new Error('the unit did not become ready');
  }
}

function report({ alone, under, flooded }: Awaited<ReturnType<typeof run>>): void {
  const [aloneMs, underMs] = [percentilesOf(alone), percentilesOf(under)];
  if (aloneMs === null || underMs === null) throw new Error('the quiet tenant got no answer');
  const p95Ratio = underMs.p95 / aloneMs.p95;
  const lost = 2 * requests * rounds - alone.length - under.length;
  const result = { ttftMsAlone: aloneMs, ttftMsUnderFlood: underMs, p95Ratio, goal: GOAL, quietLost: lost, flooded };
  if (flags.json) console.log(JSON.stringify(result, null, 2));
  else {
    const row = ({ p50, p95 }: { p50: number; p95: number }) => `p50 ${p50.toFixed(0)} ms, p95 ${p95.toFixed(0)} ms`;
    console.log(`quiet tenant's TTFT alone:       ${row(aloneMs)} (${alone.length} requests)`);
    console.log(`quiet tenant's TTFT under flood: ${row(underMs)} (${under.length} requests, ${lost} lost)`);
    console.log(`p95 under flood ÷ alone:         ${p95Ratio.toFixed(2)} (goal: at most ${GOAL})`);
    console.log(`flood: ${JSON.stringify(flooded)}`);
  }
}

function whole(name: keyof typeof flags, min: number, max: number): number {
  const value = Number(flags[name]);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  console.error(`error: --${name} wants a whole number from ${min} to ${max}, not “${flags[name]}”`);
  process.exit(2);
}
