import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { request } from 'undici';
import type { Config } from './config.ts';
import { idsOf, newId } from './control/call.ts';
import { remoteBudgets } from './control/feed/budgets.ts';
import { type ReportAnswer, reportOf } from './control/feed/gateways.ts';
import { shipTo } from './control/feed/receipts.ts';
import { usesOf } from './control/feed/uses.ts';
import { createTurns } from './control/turns.ts';
import { receiptShipper } from './control/usage/recorder.ts';
import { CubitError } from './core/errors.ts';
import { countersOf } from './counters/make.ts';
import { remoteCounters } from './counters/remote.ts';
import { connectEngine } from './engine/connect.ts';
import { watchKvEvents } from './engine/kv-events/watch.ts';
import { knownFields } from './engine/openai-http/dialects.ts';
import { type Follower, followControl } from './gateway/feed/follow.ts';
import { SnapshotFile } from './gateway/feed/keep.ts';
import { LEASES_PATH, REPORT_PATH } from './gateway/feed/wire.ts';
import { createGateway, type Gateway } from './gateway/gateway.ts';
import { configuredLimits } from './gateway/limits.ts';
import { sendError, sendJson } from './gateway/respond.ts';
import type { Sharing } from './gateway/sharing.ts';
import { listen, mayScrape, urlOf } from './listener.ts';
import type { Logger } from './log.ts';
import { isLoopback, passOn } from './pass-on.ts';
import { addressGuard } from './public-address.ts';
import { lockDataFolder } from './store/lock.ts';

export interface GatewayProcessOptions {
  readonly config: Pick<
    Config,
    | 'host'
    | 'port'
    | 'drainMs'
    | 'bodyBytesMax'
    | 'hedgeAfterMs'
    | 'warnPercent'
    | 'warnAfterMs'
    | 'webhookAllow'
    | 'redis'
    | 'redisPrefix'
  >;
  /** Of the control plane. */
  readonly controlUrl: string;
  readonly token: string;
  /** This process's alone: journal and kept snapshot. */
  readonly folder: string;
  readonly log: Logger;
  /** One of several on one port, before the control plane of this machine: the rest is passed on to it. */
  readonly shared?: boolean;
}

export interface GatewayProcess {
  readonly url: string;
  /** Resolves when there is a snapshot to work from. */
  readonly ready: Promise<void>;
  close(drainMs: number): Promise<void>;
}

const REPORT_MS = 1_000;
const REPORT_MS_MAX = 5_000;

/**
 * The data plane as a process of its own. It follows the control plane, goes on without it, starts from the last snapshot when
 * it is down, and keeps receipts in its journal until the control plane takes them. Throws `config_invalid`,
 * `port_in_use`, `data_folder_locked`.
 */
export async function startGatewayProcess(options: GatewayProcessOptions): Promise<GatewayProcess> {
  const { config, controlUrl, token, folder, log, shared = false } = options;
  refuseOpenWire(controlUrl);
  const lock = lockDataFolder(folder);
  const gatewayId = newId('request');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const insert = shipTo(controlUrl, token);
  const recorder = receiptShipper({ insert, folder: join(folder, 'journal'), log });
  const guard = addressGuard(config.webhookAllow);
  const gateway = createGateway({
    connect: (address) => connectEngine(address, undefined, guard),
    budgets: remoteBudgets(controlUrl, token),
    watchKvEvents,
    knownFields,
    now: Date.now,
    monotonicMs: () => performance.now(),
    newRequestId: idsOf('request'),
    record: (receipt) => recorder.record(receipt),
    log,
    registry,
    limits: configuredLimits(config),
  });
  const file = new SnapshotFile(join(folder, 'snapshot'), token);
  const apply = gateway.apply;
  const follower = followControl({ url: controlUrl, token, file, apply, now: Date.now, log });
  const state = { stopping: false };
  const counters =
    config.redis === null ? remoteCounters(controlUrl + LEASES_PATH, token) : await countersOf(config, log);
  const sharing = gateway.share(counters, gatewayId);
  const reports = createTurns({
    work: async () => {
      const told = reportOf(gatewayId, gateway.stats().servedModels, gateway.limitsUsed());
      const { elsewhere, limits } = await report(controlUrl, token, told);
      gateway.usedElsewhere(new Map(Object.entries(elsewhere)), usesOf(limits));
    },
    gapMs: REPORT_MS,
    tickMs: REPORT_MS,
    // The follower says already that the control plane is away; what others let in nobody knows then.
    failed: () => gateway.usedElsewhere(new Map(), new Map()),
  });
  const closeParts = async () => {
    await reports.stop();
    await sharing.stop();
    await counters.close();
    await gateway.close();
    await recorder.close();
    await follower.stop();
    lock.release();
  };
  const server = await listen({ ...config, reusePort: shared }, log).catch(async (error: unknown) => {
    await closeParts();
    throw error;
  });
  registerFeed(registry, follower);
  server.removeAllListeners('request');
  server.on(
    'request',
    answers({ sharing, gateway, follower, registry, token, state, log, rest: shared ? passOn(controlUrl) : null }),
  );
  const url = urlOf(server, config.host);
  log.info({ url, controlUrl, folder, gatewayId, pid: process.pid }, 'gateway started');
  let closing: Promise<void> | null = null;
  return {
    url,
    ready: follower.ready,
    close(drainMs) {
      state.stopping = true;
      // No new connection comes here; those that are open end with their requests.
      server.close();
      const drained = gateway.drain(drainMs);
      closing ??= drained.then(async () => {
        server.closeAllConnections();
        await closeParts();
      });
      return closing;
    },
  };
}

/** Keys' hashes, engines' keys and receipts go over this wire. */
function refuseOpenWire(controlUrl: string): void {
  const { protocol, hostname } = new URL(controlUrl);
  if (protocol === 'https:' || isLoopback(hostname)) return;
  throw new CubitError(
    'config_invalid',
    `The control plane at ${controlUrl} is on another machine: use https:// (put TLS in front of it), or a tunnel to 127.0.0.1.`,
  );
}

async function report(controlUrl: string, token: string, value: object): Promise<ReportAnswer> {
  const { statusCode, body } = await request(controlUrl + REPORT_PATH, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(value),
    headersTimeout: REPORT_MS_MAX,
    bodyTimeout: REPORT_MS_MAX,
  });
  const text = await body.text();
  if (statusCode === 200) return JSON.parse(text) as ReportAnswer;
  throw new CubitError('engine_unavailable', `The control plane takes no report: ${statusCode}`);
}

function registerFeed(registry: Registry, follower: Follower): void {
  const registers = [registry];
  new Gauge({
    name: 'cubit_control_connected',
    help: '1 while the control plane is heard.',
    registers,
    collect() {
      this.set(follower.status().connected ? 1 : 0);
    },
  });
  new Gauge({
    name: 'cubit_snapshot_age_seconds',
    help: 'Since the snapshot was known to be up to date.',
    registers,
    collect() {
      this.set((follower.status().ageMs ?? 0) / 1_000);
    },
  });
}

interface Answering {
  readonly sharing: Sharing;
  readonly gateway: Gateway;
  readonly follower: Follower;
  readonly registry: Registry;
  readonly token: string;
  readonly state: { readonly stopping: boolean };
  readonly log: Logger;
  readonly rest: ((req: IncomingMessage, res: ServerResponse) => void) | null;
}

function answers({ sharing, gateway, follower, registry, token, state, log, rest }: Answering) {
  return (req: IncomingMessage, res: ServerResponse): void => {
    if (gateway.handle(req, res)) return;
    const [path = ''] = (req.url ?? '').split('?', 1);
    if (path === '/healthz') return void res.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
    if (path === '/readyz') {
      const { source, connected, ageMs } = follower.status();
      const word = state.stopping ? 'stopping' : source === 'none' ? 'waiting for the control plane' : 'ready';
      const snapshot = { source, controlConnected: connected, snapshotAgeMs: ageMs, sharing: sharing.status() };
      return void sendJson(
        res,
        word === 'ready' ? 200 : 503,
        { status: word, ...snapshot },
        { 'cache-control': 'no-store' },
      );
    }
    if (rest !== null) return void rest(req, res);
    if (path !== '/metrics') {
      return void sendError(
        res,
        new CubitError(
          'not_found',
          'This is a gateway: /v1, /healthz, /readyz, /metrics. Ask the control plane for the rest.',
        ),
      );
    }
    if (!mayScrape(req, token)) {
      return void sendError(
        res,
        new CubitError('invalid_api_key', 'From elsewhere, /metrics wants the gateway token as Bearer token.'),
      );
    }
    registry.metrics().then(
      (text) => res.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (err: unknown) => {
        log.error({ err }, 'metrics failed');
        sendError(res, new CubitError('internal', 'Metrics failed; the log says why.'));
      },
    );
  };
}
