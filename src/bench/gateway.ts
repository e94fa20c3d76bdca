import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import { prefixHashMs, queueCosts } from './gateway/growth.ts';
import {
  longOf,
  type Measured,
  measure,
  round,
  SHORT,
  type Spread,
  type Subject,
  spreadOf,
  streamOf,
} from './gateway/measure.ts';
import { defaultPeersDir, PEERS, peerOf } from './gateway/peers.ts';
import { type Cores, coresOf, forkOn, startOwn, startPeer } from './gateway/processes.ts';

/**
 * `npm run bench:gateway`: what the gateway costs with its whole policy on, beside a bare undici proxy and other
 * gateways, in one run: every round asks each of them in turn. Gateways run on one core, mock and load on another. What
 * is compared is requests per second of a core's time (requests ÷ CPU seconds of the gateway's processes), which holds
 * on a machine that does other things too; requests per second by the clock are printed beside it.
 */
const USAGE = `npm run bench:gateway -- [--json] [--rounds 3] [--requests 15000] [--streams 100,500,1000,2000]
  [--peers FOLDER] [--without vllm-router,litellm] [--skip-growth] [--soak 1000000]`;

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    requests: { type: 'string', default: '15000' },
    streams: { type: 'string', default: '100,500,1000,2000' },
    peers: { type: 'string', default: defaultPeersDir() },
    without: { type: 'string', default: '' },
    'skip-growth': { type: 'boolean', default: false },
    soak: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  },
});
const ROUNDS = Number(flags.rounds);
const REQUESTS = Number(flags.requests);
const WARM_UP_REQUESTS = REQUESTS;
/** A slow gateway is not asked for all of them. */
const SECONDS_MAX = 20;
const SINGLE_REQUESTS = 1_000;
const LONG_REQUESTS = 150;
const STREAM_TOKENS = 50;
const ENDPOINTS = [1, 100, 10_000];
const REPLICAS = [1, 32, 1_000];

const say = (line: string) => (flags.json ? process.stderr : process.stdout).write(`${line}\n`);
const own = (name: string) => new URL(`./gateway/${name}.ts`, import.meta.url);

interface World {
  readonly cores: Cores | null;
  readonly load: ChildProcess;
  readonly upstream: Subject;
  readonly children: ChildProcess[];
}

async function main(): Promise<void> {
  if (process.platform !== 'linux') throw new Error('CPU times are read from /proc: run this on Linux.');
  const cores = coresOf();
  const mock = await startOwn(cores?.load ?? null, own('upstream'), []);
  const load = forkOn(cores?.load ?? null, own('load'));
  const upstream: Subject = { name: 'direct', url: mock.url, pid: mock.child.pid as number, headers: {} };
  const world: World = { cores, load, upstream, children: [mock.child, load] };
  try {
    const result = await runAll(world);
    if (flags.json) console.log(JSON.stringify(result, null, 2));
  } finally {
    for (const child of world.children) child.kill();
  }
}

async function runAll(world: World) {
  const { cores } = world;
  say(cores === null ? 'not bound to cores' : `gateways on core ${cores.gateway}, mock and load on core ${cores.load}`);
  const cubit = await startCubitOn(world, 1, 1);
  const bare = await startSubject(world, 'bare', 'bare-proxy', []);
  const { subjects, skipped } = await startPeers(world);
  const all = [world.upstream, bare, cubit, ...subjects];
  const short = await compareShort(world, all);
  const of = (name: string) => short.get(name) as Summary;
  const streams = await compareStreams(world, [world.upstream, bare, cubit, ...subjects]);
  const long = await compareLong(world, [world.upstream, bare, cubit]);
  const growth = flags['skip-growth'] ? null : await growthOf(world);
  const soak = Number(flags.soak) > 0 ? await soakOf(world, cubit, Number(flags.soak)) : null;
  const added = (name: string, key: 'p50Ms' | 'p99Ms') => round(of(name)[key].median - of('direct')[key].median);
  const ownStreams = streams.filter((one) => one.name === 'cubit');
  return {
    node: process.version,
    cores: cores === null ? 'not bound' : `gateway ${cores.gateway}, mock and load ${cores.load}`,
    rpsPerCore: of('cubit').rpsPerCore.median,
    bareProxyRpsPerCore: of('bare').rpsPerCore.median,
    rpsPerCoreRatio: round(of('cubit').rpsPerCore.median / of('bare').rpsPerCore.median),
    addedP50Ms: added('cubit', 'p50Ms'),
    addedP99Ms: added('cubit', 'p99Ms'),
    peers: Object.fromEntries(
      subjects.map(({ name }) => [name, { rpsPerCore: of(name).rpsPerCore.median, addedP50Ms: added(name, 'p50Ms') }]),
    ),
    skipped,
    streams: ownStreams.at(-1),
    lostFrames: ownStreams.reduce((sum, one) => sum + one.lostFrames, 0),
    rssMb: of('cubit').rssMb,
    short: Object.fromEntries(short),
    allStreams: streams,
    long,
    growth,
    soak,
  };
}

async function startSubject(world: World, name: string, file: string, args: readonly string[]): Promise<Subject> {
  const { url, child } = await startOwn(world.cores?.gateway ?? null, own(file), [world.upstream.url, ...args]);
  child.stderr?.pipe(process.stderr);
  world.children.push(child);
  return { name, url, pid: child.pid as number, headers: {} };
}

function startCubitOn(world: World, endpoints: number, replicas: number): Promise<Subject> {
  return startSubject(world, 'cubit', 'subject', [String(endpoints), String(replicas)]);
}

async function startPeers(world: World): Promise<{ subjects: Subject[]; skipped: Record<string, string> }> {
  const subjects: Subject[] = [];
  const skipped: Record<string, string> = {};
  const without = flags.without.split(',');
  for (const name of PEERS.filter((one) => !without.includes(one))) {
    const port = await freePort();
    const peer = peerOf(name, flags.peers, world.upstream.url, port, await freePort());
    try {
      if ('reason' in peer) throw new Error(peer.reason);
      const url = `http://127.0.0.1:${port}`;
      const headers = { 'content-type': 'application/json', ...peer.headers };
      const ready = async () =>
        (await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body: SHORT })).status === 200;
      const child = await startPeer(world.cores?.gateway ?? null, peer.command, peer.env, ready);
      world.children.push(child);
      subjects.push({ name, url, pid: child.pid as number, headers: peer.headers });
    } catch (error) {
      skipped[name] = (error as Error).message;
      say(`${name}: skipped, ${skipped[name]}`);
    }
  }
  return { subjects, skipped };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

interface Summary {
  readonly rpsPerCore: Spread;
  readonly rpsWall: Spread;
  readonly cpuUsPerRequest: Spread;
  /** At one connection. */
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly failed: number;
  readonly rssMb: number;
}

async function compareShort(world: World, subjects: readonly Subject[]): Promise<Map<string, Summary>> {
  const runs = new Map(subjects.map(({ name }) => [name, { full: [] as Measured[], single: [] as Measured[] }]));
  for (let turn = 0; turn <= ROUNDS; turn += 1) {
    for (const subject of subjects) {
      const isWarmUp = turn === 0;
      const requestsMax = isWarmUp ? WARM_UP_REQUESTS : REQUESTS;
      const full = await measure(world.load, subject, { requestsMax, seconds: SECONDS_MAX });
      const single = await measure(world.load, subject, { connections: 1, requestsMax: SINGLE_REQUESTS, seconds: 5 });
      if (full.fault !== null) say(`${subject.name}: ${full.failed} requests failed, the first: ${full.fault}`);
      if (isWarmUp) continue;
      runs.get(subject.name)?.full.push(full);
      runs.get(subject.name)?.single.push(single);
    }
  }
  const summaries = new Map([...runs].map(([name, { full, single }]) => [name, summaryOf(full, single)]));
  say('\nshort requests, 64 connections          requests/s of a core   by the clock   CPU µs   p50 / p99 ms at one');
  for (const [name, s] of summaries) {
    const line = [name.padEnd(38), shown(s.rpsPerCore).padEnd(22), shown(s.rpsWall).padEnd(22)];
    say(`${line.join(' ')} ${shown(s.cpuUsPerRequest)}  ${s.p50Ms.median} / ${s.p99Ms.median}`);
  }
  return summaries;
}

function summaryOf(full: readonly Measured[], single: readonly Measured[]): Summary {
  return {
    rpsPerCore: spreadOf(full.map((one) => one.requests / (one.cpuUs / 1e6))),
    rpsWall: spreadOf(full.map((one) => one.requests / (one.elapsedMs / 1e3))),
    cpuUsPerRequest: spreadOf(full.map((one) => one.cpuUs / one.requests)),
    p50Ms: spreadOf(single.map((one) => one.latencyMs.p50)),
    p99Ms: spreadOf(single.map((one) => one.latencyMs.p99)),
    failed: full.reduce((sum, one) => sum + one.failed, 0),
    rssMb: round(Math.max(...full.map((one) => one.rssMb))),
  };
}

function shown({ min, median, max }: Spread): string {
  return [min, median, max].map((value) => (value >= 100 ? Math.round(value) : value)).join('/');
}

async function compareStreams(world: World, subjects: readonly Subject[]) {
  const found = [];
  say('\nstreams, 50 tokens, one every 20 ms: lost frames, added TTFT p50, added gap p99, CPU µs a token');
  for (const concurrent of flags.streams.split(',').map(Number)) {
    let direct: Measured | null = null;
    for (const subject of subjects) {
      const job = {
        connections: concurrent,
        requestsMax: 2 * concurrent,
        tokens: STREAM_TOKENS,
        body: streamOf(STREAM_TOKENS),
      };
      const run = await measure(world.load, subject, job);
      direct ??= run;
      const one = {
        name: subject.name,
        concurrent,
        lostFrames: run.lostFrames,
        failed: run.failed,
        addedTtftP50Ms: round(run.ttftMs.p50 - direct.ttftMs.p50),
        addedGapP99Ms: round(run.gapMs.p99 - direct.gapMs.p99),
        gapP99Ms: round(run.gapMs.p99),
        cpuUsPerEvent: round(run.cpuUs / Math.max(1, run.events)),
      };
      found.push(one);
      const figures = `${one.addedTtftP50Ms} ms, ${one.addedGapP99Ms} ms (${one.gapP99Ms}), ${one.cpuUsPerEvent} µs`;
      say(
        `${String(concurrent).padStart(5)} ${subject.name.padEnd(14)} ${one.lostFrames} lost, ${figures}${run.fault === null ? '' : ` (${run.failed} failed: ${run.fault.slice(0, 80)})`}`,
      );
    }
  }
  return found;
}

async function compareLong(world: World, subjects: readonly Subject[]) {
  const found: Record<string, Record<string, number>> = {};
  for (const kilobytes of [64, 400]) {
    for (const subject of subjects) {
      const job = { body: longOf(kilobytes * 1024), connections: 4, seconds: SECONDS_MAX };
      await measure(world.load, subject, { ...job, requestsMax: LONG_REQUESTS });
      const run = await measure(world.load, subject, { ...job, requestsMax: LONG_REQUESTS });
      found[subject.name] = { ...found[subject.name], [`${kilobytes}KB`]: round(run.cpuUs / run.requests) };
    }
  }
  say(`\nlong prompts, CPU µs a request: ${JSON.stringify(found)}`);
  return found;
}

async function growthOf(world: World) {
  const cpuUs = async (endpoints: number, replicas: number) => {
    const subject = await startCubitOn(world, endpoints, replicas);
    await measure(world.load, subject, { requestsMax: WARM_UP_REQUESTS, seconds: SECONDS_MAX });
    const run = await measure(world.load, subject, { requestsMax: REQUESTS, seconds: SECONDS_MAX });
    world.children.pop()?.kill();
    return round(run.cpuUs / run.requests);
  };
  const endpoints: Record<string, number> = {};
  for (const count of ENDPOINTS) endpoints[count] = await cpuUs(count, 1);
  const replicas: Record<string, number> = {};
  for (const count of REPLICAS) replicas[count] = await cpuUs(1, count);
  const growth = {
    cpuUsByEndpoints: endpoints,
    cpuUsByReplicas: replicas,
    queueUsByQueued: queueCosts(),
    prefixHash400KbMs: prefixHashMs(),
  };
  say(`\ngrowth, CPU µs a request: ${JSON.stringify(growth)}`);
  return growth;
}

/** Whether memory stays flat: RSS after every tenth of so many requests. */
async function soakOf(world: World, cubit: Subject, requests: number) {
  const rssMb: number[] = [];
  for (let tenth = 0; tenth < 10; tenth += 1) {
    const run = await measure(world.load, cubit, { requestsMax: requests / 10, seconds: 3_600 });
    rssMb.push(round(run.rssMb));
  }
  say(`\nRSS in MB over ${requests} requests: ${rssMb.join(' ')}`);
  return { requests, rssMb };
}

if (flags.help) console.log(USAGE);
else await main();
