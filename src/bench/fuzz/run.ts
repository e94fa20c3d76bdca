import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WireEngine } from '../../gateway/wire.ts';
import { childSeed, type Random, seededRandom } from '../../workload/random.ts';
import { fuzzedAnswer } from './answers.ts';
import { type Plan, planOf } from './requests.ts';
import { FUZZ_KEY, type Subject, startSubject } from './subject.ts';

export interface FuzzReport {
  readonly requests: number;
  readonly seed: number;
  readonly seconds: number;
  /** What came back, by HTTP status; 0 = nothing. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly receipts: number;
  readonly stored: number;
  readonly ejections: number;
  readonly sentAgain: number;
  /** After forced collections: a tenth of the way, then every fifth, and at the end. */
  readonly heapMb: readonly number[];
  /** What is wrong; empty = nothing. */
  readonly faults: readonly string[];
}

const CONCURRENCY = 32;
const REPLICAS = 3;
const SETTLE_MS_MAX = 10_000;
const HEAP_GROWTH_MB_MAX = 8;

/** Sends mutated requests to a real gateway whose engines answer mutated answers; then everything has to be free again. */
export async function fuzz(options: {
  requests: number;
  seed: number;
  progress?: (done: number) => void;
}): Promise<FuzzReport> {
  const { requests, seed } = options;
  const before = resources();
  const startedMs = performance.now();
  const random = seededRandom(childSeed(seed, 0));
  const engines = await Promise.all(Array.from({ length: REPLICAS }, () => fuzzedEngine(random)));
  const subject = await startSubject(
    engines.map((engine, at) => engine.replica(`rep-${at}`)),
    seed % 2 === 0 ? null : 10,
  );
  const statuses: Record<string, number> = {};
  const heapMb: number[] = [];
  const faults: string[] = [];
  let next = 0;
  const client = async () => {
    while (next < requests) {
      const number = next;
      next += 1;
      if (number === Math.floor(requests / 10) || number % Math.ceil(requests / 5) === 0) heapMb.push(heapMbNow());
      if (number % 1_000 === 0) options.progress?.(number);
      const status = await perform(subject.port, planOf(seededRandom(childSeed(seed, number + 1)), FUZZ_KEY));
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, client));
  subject.closeConnections();
  faults.push(...(await whatIsHeld(subject)));
  const stored = await subject.stored();
  if (stored !== subject.receipts.count) faults.push(`${subject.receipts.count} receipts, ${stored} of them stored`);
  const metrics = await subject.registry.metrics();
  const total = (name: string) => sumOf(metrics, name);
  await subject.close();
  await Promise.all(engines.map((engine) => engine.close()));
  await settled(() => [...resources()].every(([name, count]) => count <= (before.get(name) ?? 0)));
  for (const [name, count] of resources()) {
    if (count > (before.get(name) ?? 0)) faults.push(`${count - (before.get(name) ?? 0)} ${name} left open`);
  }
  heapMb.push(heapMbNow());
  const grownMb = (heapMb.at(-1) as number) - (heapMb[1] as number);
  if (grownMb > HEAP_GROWTH_MB_MAX) faults.push(`the heap grew by ${grownMb.toFixed(1)} MB`);
  return {
    requests,
    seed,
    seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    statuses,
    outcomes: subject.receipts.byOutcome,
    receipts: subject.receipts.count,
    stored,
    ejections: total('cubit_replica_ejections_total'),
    sentAgain: total('cubit_sent_again_total'),
    heapMb,
    faults,
  };
}

function fuzzedEngine(random: Random): Promise<WireEngine> {
  const engine = new WireEngine((socket, request) => {
    // It keeps them for tests that look; a hundred thousand would be the heap.
    engine.requests.length = 0;
    fuzzedAnswer(socket, request, random);
  });
  return engine.listen();
}

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** One client from connecting to leaving; the status that it saw, 0 = none. */
function perform(port: number, plan: Plan): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    const leave = () => {
      if (plan.leave === 'end') socket.end();
      else if (plan.leave === 'reset') socket.resetAndDestroy();
      else socket.destroy();
      // Whoever only closes its half would stay as long as the other side wants.
      setTimeout(() => socket.destroy(), 50);
    };
    const timer = setTimeout(leave, plan.stayMs);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0));
    });
    socket.on('data', (part) => {
      if (text.length < 100_000) text = (text + part.toString('latin1')).replace(CONTINUE, '');
      if (!isWhole(text)) return;
      clearTimeout(timer);
      leave();
    });
    if (plan.deaf) socket.pause();
    let delayMs = 0;
    for (const piece of plan.pieces) {
      if (delayMs === 0) socket.write(piece);
      else setTimeout(() => socket.writable && socket.write(piece), delayMs);
      delayMs += plan.pauseMs;
    }
  });
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return false;
  const length = /content-length: (\d+)/i.exec(text.slice(0, head))?.[1];
  return length === undefined ? text.endsWith('0\r\n\r\n') : text.length >= head + 4 + Number(length);
}

/** Names what is not given back although nobody is there any more. */
async function whatIsHeld({ gateway, receipts, registry }: Subject): Promise<string[]> {
  const faults: string[] = [];
  await settled(() => gateway.stats().active === 0);
  const { active, servedModels } = gateway.stats();
  if (active > 0) faults.push(`${active} requests never ended`);
  for (const stats of servedModels) {
    for (const name of ['running', 'queued', 'queuedUs', 'kvTokens', 'outstandingUs'] as const) {
      if (stats[name] !== 0) faults.push(`${stats.servedModelId}: ${name} is ${stats[name]}`);
    }
    if (stats.reservedUs !== stats.settledUs + stats.returnedUs)
      faults.push(`${stats.servedModelId}: reserved ≠ settled + returned`);
    for (const [id, running] of stats.runningOn) if (running !== 0) faults.push(`${id}: ${running} running`);
  }
  if (receipts.twice > 0) faults.push(`${receipts.twice} requests had two outcomes`);
  // Without a key there is nobody to have a receipt; metrics count these too.
  const ended = sumOf(await registry.metrics(), 'cubit_requests_total');
  if (ended < receipts.count) faults.push(`${receipts.count} receipts for ${ended} requests`);
  if (receipts.internal > 0) faults.push(`${receipts.internal} requests met an error of ours`);
  return faults;
}

async function settled(holds: () => boolean): Promise<void> {
  for (const endMs = performance.now() + SETTLE_MS_MAX; !holds() && performance.now() < endMs; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Sockets, servers and timers that keep a process alive, by kind. */
function resources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function heapMbNow(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return Math.round((process.memoryUsage().heapUsed / 2 ** 20) * 10) / 10;
}

function sumOf(metrics: string, name: string): number {
  const lines = metrics.split('\n').filter((line) => line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
