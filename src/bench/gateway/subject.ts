import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { idsOf } from '../../control/call.ts';
import { receiptRecorder } from '../../control/usage/recorder.ts';
import { connectEngine } from '../../engine/connect.ts';
import { knownFields } from '../../engine/openai-http/dialects.ts';
import { createGateway } from '../../gateway/gateway.ts';
import { createLog } from '../../log.ts';
import { openStore } from '../../store/store.ts';
import { benchSnapshot } from './snapshot.ts';

/**
 * The gateway under measurement, as `main.ts` wires it: key check, admission, routing, receipts, metrics, metering into
 * a real store, and the log, at its default level, into a file. Only the control plane is missing: its snapshot is made up, with so much
 * capacity that nothing is refused. `node subject.ts UPSTREAM ENDPOINTS REPLICAS`; it ends with its parent.
 */
const [upstream = '', endpoints = '1', replicas = '1'] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'cubit-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const log = createLog({ level: 'info', file: join(folder, 'cubit.log') });
const store = await openStore({ path: join(folder, 'cubit.db') });
const recorder = receiptRecorder({ db: store.db, folder: join(folder, 'journal'), log });
const registry = new Registry();
collectDefaultMetrics({ register: registry });
const gateway = createGateway({
  connect: connectEngine,
  knownFields,
  now: Date.now,
  monotonicMs: () => performance.now(),
  newRequestId: idsOf('request'),
  record: (receipt) => recorder.record(receipt),
  log,
  registry,
});
gateway.apply(benchSnapshot(upstream, Number(endpoints), Number(replicas), (key) => hash('sha256', key, 'hex')));

const server = createServer({ keepAliveTimeout: 75_000 }, (req, res) => {
  if (!gateway.handle(req, res)) res.writeHead(404).end();
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () => {
  console.log(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
});
process.stdin.resume().on('end', () => process.exit(0));
