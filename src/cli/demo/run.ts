import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_MODEL_ID, DEFAULT_TEMPLATE_ID } from '../../catalog/default.ts';
import { loadCatalog } from '../../catalog/load.ts';
import { type Config, loadConfig } from '../../config.ts';
import { CubitError } from '../../core/errors.ts';
import { createLog } from '../../log.ts';
import { type Cubit, startCubit } from '../../main.ts';
import { type Client, createClient } from '../client.ts';
import { weightsWithProgress } from '../weights.ts';
import { type Plan, planFrom } from './plan.ts';
import { billOf, judge, outcomeTable } from './report.ts';
import { sendAll } from './traffic.ts';

export interface DemoOptions {
  readonly spanMs: number;
  readonly load: number;
  readonly seed: number;
}

const READY_MS_MAX = 120_000;
const TWO_HOURS_MS = 2 * 3_600_000;

/** Runs the whole line and prints it; true when every request has one outcome and the ledger balances. */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const dataDir = mkdtempSync(join(tmpdir(), 'cubit-demo-'));
  const clock = { aheadMs: 0 };
  const config = loadConfig({ dataDir, port: 0, demo: true, access: 'open', quotaUnits: null });
  const log = createLog({ level: 'warn', file: join(dataDir, 'cubit.log') });
  let cubit: Cubit | undefined;
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      await cubit?.close(0);
      rmSync(dataDir, { recursive: true, force: true });
      process.exit(130);
    })();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    cubit = await startCubit(config, {
      log,
      getWeights: (weights) => weightsWithProgress(weights, config.cacheDir, config.weights),
      now: () => Date.now() + clock.aheadMs,
    });
    return await mainJob(cubit, options, clock, config);
  } finally {
    await stopping;
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    await cubit?.close(0);
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function mainJob(
  cubit: Cubit,
  options: DemoOptions,
  clock: { aheadMs: number },
  config: Config,
): Promise<boolean> {
  const operator = createClient({ url: cubit.url, token: cubit.operatorToken, data: config.dataDir });
  console.log('1. A tenant with a wallet, a key, and an endpoint with one postpaid unit');
  const bought = await buy(operator);
  const plan = await planOf(options, config.catalogDir);
  console.log(
    `\n2. ${plan.requests.length} requests drawn from a public production trace (Azure 2023, code), prompts ÷ ${plan.lengthDivisor}, its time × ${plan.timeScale.toFixed(2)}:\n` +
      `   they offer ${(plan.offeredShare * 100).toFixed(0)} % of what one unit supplies in ${plan.spanMs / 1000} s\n`,
  );
  const sent = await sendAll(cubit, { url: cubit.url, apiKey: bought.apiKey, model: 'demo' }, plan, options.seed);
  await cubit.flush();
  console.log('\n3. How they ended, estimated against actual work (1 unit-second = what a unit does in a second)\n');
  const summary = (await operator.call('GET', `/usage/summary?tenantId=${bought.tenantId}`)) as Parameters<
    typeof outcomeTable
  >[0];
  console.log(outcomeTable(summary, sent));
  const stats = cubit.stats();
  console.log('\n4. Unsubscribe, and the bill\n');
  await operator.call('POST', `/groups/${bought.groupId}/unsubscribe`, {});
  // The bill is due one hour after its hour: the demo's clock jumps there, and the ordinary job issues it.
  clock.aheadMs = TWO_HOURS_MS;
  await operator.call('POST', '/bills/settle', {});
  console.log(await billOf(operator, bought.tenantId));
  return judge({ sent, summary, ledger: await cubit.checkLedger(), stats });
}

async function planOf(options: DemoOptions, catalogDir: string): Promise<Plan> {
  const catalog = await loadCatalog(catalogDir);
  const template = catalog.templates.get(DEFAULT_TEMPLATE_ID);
  const tier = template?.tiers[0];
  if (template === undefined || tier === undefined)
    throw new CubitError('config_invalid', `The catalogue has no ${DEFAULT_TEMPLATE_ID}.`);
  return planFrom(template.profile, tier.batch, options);
}

interface Bought {
  readonly tenantId: string;
  readonly apiKey: string;
  readonly groupId: string;
}

/** The version that the order accepts, as a box ticked in a form would; null: there is none. */
async function agreementToAccept(operator: Client): Promise<string | null> {
  try {
    const { version } = (await operator.call('GET', '/agreement')) as { version: string };
    console.log(`   agreement ${version} accepted with the order`);
    return version;
  } catch (error) {
    if (error instanceof CubitError && error.code === 'not_found') return null;
    throw error;
  }
}

async function buy(operator: Client): Promise<Bought> {
  const post = async <T>(path: string, body: unknown) => (await operator.call('POST', path, body)) as T;
  const { tenantId } = await post<{ tenantId: string }>('/tenants', { name: 'acme' });
  await post('/wallet/top-ups', { tenantId, amount: '100.00' });
  const { key } = await post<{ key: string }>('/keys', { tenantId, name: 'demo', scope: 'inference' });
  const agreementVersion = await agreementToAccept(operator);
  const startedAt = performance.now();
  const { endpointId } = await post<{ endpointId: string }>('/endpoints', {
    tenantId,
    name: 'demo',
    maxWaitMs: 30_000,
    ...(agreementVersion === null ? {} : { agreementVersion }),
    models: [{ modelId: DEFAULT_MODEL_ID, templateId: DEFAULT_TEMPLATE_ID, units: 1 }],
  });
  for (;;) {
    const endpoint = (await operator.call('GET', `/endpoints/${endpointId}`)) as {
      state: string;
      groups: { groupId: string; state: string }[];
    };
    const [group] = endpoint.groups;
    if (endpoint.state === 'ready' && group !== undefined) {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      console.log(
        `   wallet 100.00, endpoint \`demo\`, instance group ${group.groupId}: ready after ${seconds} s, billed from now on`,
      );
      return { tenantId, apiKey: key, groupId: group.groupId };
    }
    if (group === undefined || performance.now() - startedAt > READY_MS_MAX) {
      throw new CubitError('engine_unavailable', `The unit did not become ready; the endpoint is ${endpoint.state}.`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
