import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { receiptRecorder } from '../../control/usage/recorder.ts';
import type { Receipt } from '../../core/commerce/metering.ts';
import { connectEngine } from '../../engine/connect.ts';
import { knownFields } from '../../engine/openai-http/dialects.ts';
import { createGateway } from '../../gateway/gateway.ts';
import { DEFAULT_LIMITS } from '../../gateway/limits.ts';
import { type EndpointSnapshot, endpointKey, type ReplicaSnapshot } from '../../gateway/snapshot.ts';
import { listen } from '../../listener.ts';
import { createLog } from '../../log.ts';
import { openStore } from '../../store/store.ts';

export const FUZZ_KEY = 'sk-fuzz';

/** Short, so that every time-out is met often. */
const LIMITS = {
  bodyBytesMax: 256 * 1024,
  bodyMsMax: 300,
  firstTokenMsMax: 120,
  answerMsMax: 120,
  chunkMsMax: 120,
  clientStallMsMax: 200,
  frameBytesMax: 64 * 1024,
  answerBytesMax: 256 * 1024,
};

export type Subject = Awaited<ReturnType<typeof startSubject>>;

/** The gateway as `main.ts` wires it, with a store and a journal of its own, behind the server that users meet. */
export async function startSubject(replicas: readonly ReplicaSnapshot[], hedgeAfterMs: number | null) {
  const folder = mkdtempSync(join(tmpdir(), 'cubit-fuzz-'));
  const log = createLog({ level: 'error', file: join(folder, 'log') });
  const store = await openStore({ path: join(folder, 'cubit.db') });
  const recorder = receiptRecorder({ db: store.db, folder: join(folder, 'journal'), log });
  const registry = new Registry();
  const receipts = { count: 0, twice: 0, internal: 0, byOutcome: {} as Record<string, number> };
  // A byte for each request, by its number: had it its receipt?
  let ended = new Uint8Array(1 << 16);
  let requests = 0;
  const record = (receipt: Receipt) => {
    recorder.record(receipt);
    const number = Number(receipt.requestId.slice(4));
    if (ended[number] !== 0) receipts.twice += 1;
    ended[number] = 1;
    receipts.count += 1;
    if (receipt.cause === 'internal') receipts.internal += 1;
    receipts.byOutcome[receipt.outcome] = (receipts.byOutcome[receipt.outcome] ?? 0) + 1;
  };
  const newRequestId = () => {
    requests += 1;
    if (requests >= ended.length) {
      const larger = new Uint8Array(ended.length * 2);
      larger.set(ended);
      ended = larger;
    }
    return `req-${requests}`;
  };
  const gateway = createGateway({
    connect: connectEngine,
    knownFields,
    now: Date.now,
    monotonicMs: () => performance.now(),
    newRequestId,
    record,
    log,
    registry,
    limits: { ...DEFAULT_LIMITS, ...LIMITS, hedgeAfterMs },
  });
  gateway.apply(snapshotOf(replicas));
  const server = await listen({ host: '127.0.0.1', port: 0 }, log, { requestTimeout: 2_000, headersTimeout: 1_000 });
  server.removeAllListeners('request').on('request', (req, res) => {
    if (!gateway.handle(req, res)) res.writeHead(404).end();
  });
  const closeConnections = () => server.closeAllConnections();
  const close = async () => {
    await gateway.close();
    await new Promise<void>((resolve) => void server.close(() => resolve()).closeAllConnections());
    await recorder.close();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  };
  const stored = async () => {
    await recorder.flush();
    const { count } = store.db.fn;
    return Number((await store.db.selectFrom('receipts').select(count('id').as('n')).executeTakeFirstOrThrow()).n);
  };
  return {
    port: (server.address() as { port: number }).port,
    gateway,
    registry,
    receipts,
    stored,
    closeConnections,
    close,
  };
}

/** Two endpoints: one that is short of everything, one with room. */
function snapshotOf(replicas: readonly ReplicaSnapshot[]) {
  const endpointOf = (name: string, batchPerUnit: number, maxWaitMs: number): EndpointSnapshot => ({
    endpointId: `ep-${name}`,
    tenantId: 't',
    name,
    createdAtMs: 1,
    maxWaitMs,
    servedModels: [
      {
        servedModelId: `sm-${name}`,
        modelId: 'm',
        trafficPercent: 100,
        contextTokens: 4_096,
        capabilities: { chat: true, completion: true, embedding: true, structuredOutput: false, tools: false },
        coefficients: { p0Us: 10, p1Us: 1, p2Us: 0, d1Us: 5, d2Us: 0 },
        batchPerUnit,
        kvTokensPerUnit: 200_000,
        disaggregated: false,
        startupMs: 60_000,
        unitsMax: replicas.length,
        replicas: replicas.map((one) => ({ ...one, replicaId: `${one.replicaId}-${name}` })),
      },
    ],
  });
  const endpoints = [endpointOf('demo', 64, 500), endpointOf('other', 1, 20)];
  return {
    version: 1,
    keys: new Map([[hash('sha256', FUZZ_KEY, 'hex'), { keyId: 'key', tenantId: 't' }]]),
    endpoints: new Map(endpoints.map((one) => [endpointKey('t', one.name), one])),
  };
}
