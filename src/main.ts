import { uptime } from 'node:os';
import { join } from 'node:path';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { loadCatalog } from './catalog/load.ts';
import type { Weights } from './catalog/schema.ts';
import type { Config } from './config.ts';
import { digestJob } from './control/billing/digest.ts';
import { settleJob } from './control/billing/settle-job.ts';
import { budgetJob } from './control/budget/job.ts';
import { type ControlDeps, callVerb, idsOf, newId } from './control/call.ts';
import { trustedClock } from './control/clock.ts';
import { startDeliverer } from './control/delivery/deliverer.ts';
import type { SmtpSettings } from './control/delivery/email.ts';
import { createSender } from './control/delivery/sender.ts';
import { answerBudget } from './control/feed/budgets.ts';
import { SnapshotFeed } from './control/feed/feed.ts';
import { Gateways } from './control/feed/gateways.ts';
import { feedHandler } from './control/feed/http.ts';
import { grantLeases } from './control/feed/leases.ts';
import { storeShipped } from './control/feed/receipts.ts';
import { controlApp } from './control/http.ts';
import { startJobs } from './control/jobs/runner.ts';
import { weightsOfServed } from './control/model/weights.ts';
import { startWarnings } from './control/notice/warnings.ts';
import { loadGatewayToken, loadOperatorToken } from './control/operator-token.ts';
import { overdueJob } from './control/overdue/job.ts';
import { budgetLeases } from './control/overflow/leases.ts';
import { recogniseJob } from './control/prepaid/recognise-job.ts';
import { termJob } from './control/prepaid/term-job.ts';
import { pricesJob } from './control/price-book/job.ts';
import { takeInCatalog } from './control/price-book/take-in.ts';
import { startProvisioner } from './control/provision.ts';
import { rolloutJob } from './control/rollout/job.ts';
import { type Demo, type SeedCall, seedDemo } from './control/seed.ts';
import { SHARED_TICK_MS, snapshotPublisher } from './control/snapshot.ts';
import { receiptRecorder } from './control/usage/recorder.ts';
import { CubitError } from './core/errors.ts';
import { isId } from './core/ids.ts';
import { countersOf } from './counters/make.ts';
import { connectEngine } from './engine/connect.ts';
import { watchKvEvents } from './engine/kv-events/watch.ts';
import { knownFields } from './engine/openai-http/dialects.ts';
import type { StaticServer } from './fleet/static/fleet.ts';
import { createGateway, type GatewayStats } from './gateway/gateway.ts';
import { configuredLimits } from './gateway/limits.ts';
import type { Sharing } from './gateway/sharing.ts';
import { listen, requestListener, urlOf } from './listener.ts';
import type { Logger } from './log.ts';
import { buildFleet, probeServer, readServers } from './machines.ts';
import { createDownload } from './model-files/download.ts';
import { ModelFiles } from './model-files/files.ts';
import { addressGuard, readNetworks } from './public-address.ts';
import { startScaler } from './scaler/loop.ts';
import { checkLedger, type LedgerReport } from './store/ledger.ts';
import { lockDataFolder, makeDataFolder } from './store/lock.ts';
import { storageError } from './store/storage-error.ts';
import { openStore } from './store/store.ts';
import { putWorkersBefore } from './workers.ts';

export interface CubitDeps {
  readonly log: Logger;
  /** Where the weights of an embedded model are; may fetch them. */
  readonly getWeights: (weights: Weights) => Promise<string>;
  /** Epoch milliseconds; a demo or a test moves it. */
  readonly now?: () => number;
}

export interface Cubit {
  readonly url: string;
  readonly operatorToken: string;
  /** Sells the first unit to the tenant `demo`, through the ordinary verbs; again: finds it. Resolves when it serves. */
  sellDemo(say: (line: string) => void): Promise<Demo>;
  stats(): GatewayStats;
  checkLedger(): Promise<LedgerReport>;
  /** Writes the receipts that are on their way. */
  flush(): Promise<void>;
  /** Lets running requests finish for up to `drainMs`, then stops everything. Again: at once. */
  close(drainMs: number): Promise<void>;
}

/** What is torn down in the opposite order of its making, whether start succeeds or fails. */
type Teardown = (() => Promise<void> | void)[];

/**
 * Everything in one process: store, catalogue, fleet, gateway, control plane, background jobs, one port.
 * Throws `data_folder_locked`, `port_in_use`, `config_invalid`, `disk_full`, `weights_unavailable`.
 */
export async function startCubit(config: Config, deps: CubitDeps): Promise<Cubit> {
  const teardown: Teardown = [];
  const tearDown = async () => {
    for (const step of teardown.splice(0).reverse()) await step();
  };
  try {
    return await start(config, deps, teardown, tearDown);
  } catch (error) {
    await tearDown();
    throw error;
  }
}

async function start(
  config: Config,
  { log, getWeights, now: injected }: CubitDeps,
  teardown: Teardown,
  tearDown: () => Promise<void>,
): Promise<Cubit> {
  const now = injected ?? Date.now;
  const trustedNow = injected ?? moneyClock(log);
  // With PostgreSQL the folder holds no database: what several processes must not do twice, its transactions see to.
  if (config.databaseUrl === null) {
    const lock = lockDataFolder(config.dataDir);
    teardown.push(() => lock.release());
  } else {
    onDisk(() => makeDataFolder(config.dataDir));
  }
  const operatorToken = onDisk(() => loadOperatorToken(config.dataDir));
  const gatewayToken = config.gatewayToken ?? onDisk(() => loadGatewayToken(config.dataDir));
  const catalog = await loadCatalog(config.catalogDir, join(config.dataDir, 'profiles'));
  const store = await openStore(
    config.databaseUrl === null ? { path: join(config.dataDir, 'cubit.db') } : { postgresUrl: config.databaseUrl },
  );
  teardown.push(() => store.close());
  await takeInCatalog({ db: store.db, catalog, now: trustedNow, newId, log });
  // The port first: a taken one is said before weights are fetched.
  const server = await listen(config, log);
  teardown.push(() => new Promise<void>((resolve) => void server.close(() => resolve()).closeAllConnections()));

  const servers: { now: readonly StaticServer[] } = { now: await readServers(store.db) };
  const weights = { now: await weightsOfServed(store.db) };
  const fleet = await buildFleet(config, catalog, {
    log,
    getWeights,
    now,
    servers: () => servers.now,
    ownWeights: (id) => (isId('pool', id) ? null : weights.now.get(id)),
  });
  let drainMs = config.drainMs;
  teardown.push(() => fleet.close(drainMs));

  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const recorder = receiptRecorder({ db: store.db, folder: join(config.dataDir, 'journal'), log });
  teardown.push(() => recorder.close());
  const sender = createSender({ webhookAllow: config.webhookAllow, smtp: smtpOf(config) });
  teardown.push(() => sender.close());
  const guard = addressGuard(config.webhookAllow);
  const budgets = budgetLeases({ db: store.db, now: trustedNow });
  const gateway = createGateway({
    connect: (address) => connectEngine(address, undefined, guard),
    budgets,
    watchKvEvents,
    knownFields,
    now,
    monotonicMs: () => performance.now(),
    newRequestId: idsOf('request'),
    record: (receipt) => recorder.record(receipt),
    log,
    registry,
    limits: configuredLimits(config),
  });
  teardown.push(() => gateway.close());

  const control: ControlDeps = {
    sender,
    modelFiles: new ModelFiles({
      folder: join(config.dataDir, 'models'),
      allowedFolders: config.modelFolders,
      bytesMax: config.modelBytesMax,
      download: createDownload(readNetworks(config.modelAllow, 'modelAllow')),
    }),
    db: store.db,
    catalog,
    policy: { access: config.access, quotaUnits: config.quotaUnits },
    fleet,
    operatorToken,
    healthOf: (replicaId) => gateway.healthOf(replicaId),
    probe: (target) => probeServer(target.url, target.apiKey),
    log,
    now: trustedNow,
    changed: () => {
      void Promise.all([readServers(store.db), weightsOfServed(store.db)]).then(
        ([list, own]) => {
          servers.now = list;
          weights.now = own;
          provisioner.poke();
          publisher.poke();
        },
        (error: unknown) => {
          if (readiness.stopping) return;
          log.error({ err: error }, 'adopted servers could not be read; it is tried again in a second');
          setTimeout(control.changed, 1_000).unref();
        },
      );
    },
  };
  const { graceServes } = config;
  const feed = new SnapshotFeed(newId('request'));
  const gateways = new Gateways(gateway, trustedNow);
  const publisher = await snapshotPublisher({
    ...control,
    graceServes,
    // Another process on the same database announces nothing here: a key that it revoked stops within 2 s all the same.
    ...(config.databaseUrl !== null && { tickMs: SHARED_TICK_MS }),
    apply: (snapshot) => {
      gateway.apply(snapshot);
      feed.publish(snapshot);
    },
  });
  teardown.push(() => publisher.stop());
  const provisioner = startProvisioner({
    ...control,
    drainMs: config.drainMs,
    provisionMsMax: config.provisionMsMax,
    newId,
    runningOn: (replicaId) => gateways.runningOn(replicaId),
  });
  teardown.push(() => provisioner.stop());
  const scaler = startScaler({
    ...control,
    newId,
    holder: newId('request'),
    signals: () => gateways.signals(),
    startupMsOf: (templateId) => publisher.startupMsOf(templateId),
  });
  teardown.push(() => scaler.stop());
  const warnings = startWarnings({
    ...control,
    newId,
    servedModels: () => gateways.utilizations(),
    percent: config.warnPercent,
    afterMs: config.warnAfterMs,
  });
  teardown.push(() => warnings.stop());
  const jobs = startJobs({
    jobs: [
      pricesJob(),
      settleJob({ issueDelayMs: config.billIssueDelayMs }),
      digestJob,
      overdueJob(control),
      rolloutJob(control),
      recogniseJob,
      termJob(control),
      budgetJob,
    ],
    holder: newId('request'),
    db: store.db,
    now: trustedNow,
    newId,
    log,
  });
  teardown.push(() => jobs.stop());
  const deliverer = startDeliverer({ db: store.db, sender, log, now: trustedNow, random: Math.random });
  teardown.push(() => deliverer.stop());

  const callAsOperator: SeedCall = (verb, input, idempotencyKey) =>
    callVerb(control, verb, { actor: { kind: 'operator' }, input, idempotencyKey });
  const readiness = { stopping: false };
  // This process's own gateway shares from the moment another one does.
  let sharing: Sharing | null = null;
  const counters = await countersOf(config, log);
  const share = () => {
    if (config.workers === 0) sharing ??= gateway.share(counters, newId('request'));
  };
  if (config.redis !== null) share();
  teardown.push(async () => {
    await sharing?.stop();
    await counters.close();
  });
  const answer = requestListener(
    [
      (req, res) => gateway.handle(req, res),
      feedHandler({
        feed,
        tokens: [gatewayToken, operatorToken],
        storeReceipts: (lines) => storeShipped(store.db, lines),
        report: async (body) => gateways.report(body),
        budgets: (body) => answerBudget(budgets, body),
        leases: (body) => {
          share();
          return grantLeases(counters, body);
        },
      }),
    ],
    controlApp(control).fetch,
    registry,
    operatorToken,
    readiness,
    log,
  );
  server.removeAllListeners('request').on('request', answer);
  const url = urlOf(server, config.host);
  if (config.workers > 0) teardown.push(await putWorkersBefore(server, answer, { config, gatewayToken, log }));
  log.info({ url, dataDir: config.dataDir, pid: process.pid }, 'started');

  let closing: Promise<void> | null = null;
  return {
    url,
    operatorToken,
    sellDemo: async (say) => {
      const demo = await seedDemo({ call: callAsOperator, db: store.db, say });
      // The key works from the moment it is shown.
      await publisher.flush();
      return demo;
    },
    stats: () => gateway.stats(),
    checkLedger: () => checkLedger(store.db),
    flush: () => recorder.flush(),
    close: (wantedMs) => {
      if (closing !== null && wantedMs > 0) return closing;
      drainMs = wantedMs;
      readiness.stopping = true;
      // Asked again with 0: cut what the first call still waits for.
      const first = closing === null;
      const drained = gateway.drain(wantedMs);
      closing = first ? drained.then(tearDown) : closing;
      return closing ?? drained;
    },
  };
}

/** Throws `disk_full` or `config_invalid` for what the disk refuses. */
function onDisk<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storageError(error);
  }
}

function smtpOf({ smtpUrl: url, smtpFrom: from }: Config): SmtpSettings | null {
  if (url !== null && from !== null) return { url, from };
  if (url === null && from === null) return null;
  throw new CubitError('config_invalid', 'Bad configuration. smtpUrl and smtpFrom are set together or not at all.');
}

function moneyClock(log: Logger): () => number {
  return trustedClock({
    wallMs: Date.now,
    uptimeMs: () => uptime() * 1000,
    leapt: (byMs) => log.warn({ byMs }, 'the clock leapt ahead; orders and bills follow if it stays so for an hour'),
  });
}
