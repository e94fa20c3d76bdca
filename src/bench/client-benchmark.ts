import { execFileSync, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Mock, startMock } from './mock.ts';
import type { Plan, Shot } from './plan.ts';
import { LoadRun, type RunResult } from './run.ts';
import { type Percentiles, percentilesOf } from './statistics.ts';

/**
 * `npm run bench:client`: what the load-test client itself costs. It runs the client of `cubit bench` on one core against
 * a mock in a process of its own, on another core where there is one. The mock reports its own time in every answer;
 * what the client saw beyond it (client, kernel and loopback together) is the added latency.
 */
interface Scenario {
  readonly name: string;
  readonly model: string;
  readonly outputTokens: number;
  readonly plan: (shots: (ratePerS: number) => Iterable<Shot>) => Plan;
  readonly spanMs: number;
  readonly drainMs: number;
}

const WARM_UP_MS = 2_000;
const SHORT_TOKENS = 4;
const STREAMS = 5_000;
const STREAM_ITL_MS = 400;
const STREAM_TOKENS = 40;
/** All streams open within this time. */
const STREAMS_OPEN_MS = 5_000;

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'short requests, as many as it can (64 in flight)',
    model: 'mock:ttft=0,itl=0',
    outputTokens: SHORT_TOKENS,
    plan: (shots) => ({ kind: 'closed', concurrency: 64, shots: shots(1000) }),
    spanMs: 10_000,
    drainMs: 5_000,
  },
  {
    name: 'short requests at 3,000/s',
    model: 'mock:ttft=0,itl=0',
    outputTokens: SHORT_TOKENS,
    plan: (shots) => ({ kind: 'open', shots: shots(3000) }),
    spanMs: 10_000,
    drainMs: 5_000,
  },
  {
    name: `${STREAMS} streams at once, a token every ${STREAM_ITL_MS} ms each`,
    model: `mock:ttft=100,itl=${STREAM_ITL_MS}`,
    outputTokens: STREAM_TOKENS,
    plan: (shots) => ({ kind: 'open', shots: take(shots((STREAMS * 1000) / STREAMS_OPEN_MS), STREAMS) }),
    spanMs: STREAMS_OPEN_MS + 1_000,
    drainMs: 60_000,
  },
];

interface Outcome {
  readonly scenario: string;
  readonly requests: number;
  readonly failed: number;
  readonly requestsPerS: number;
  readonly framesPerS: number;
  readonly inFlightPeak: number;
  /** Of one core, over the time in which requests were under way. */
  readonly cpuShare: number;
  readonly cpuUsPerRequest: number;
  readonly cpuUsPerFrame: number;
  readonly addedTtftMs: Percentiles | null;
  readonly addedE2eMs: Percentiles | null;
  readonly lagMs: Percentiles | null;
}

async function measure(scenario: Scenario, url: string): Promise<Outcome> {
  const target = { url, apiKey: 'mock', model: scenario.model, headers: {}, extraBody: {} };
  const addedTtft: number[] = [];
  const addedE2e: number[] = [];
  const limits = {
    spanMs: scenario.spanMs,
    warmUpMs: Math.min(WARM_UP_MS, scenario.spanMs / 2),
    requestsMax: 1_000_000,
    inFlightMax: STREAMS + 1_000,
    drainMs: scenario.drainMs,
    silenceMsMax: 30_000,
  };
  const run = new LoadRun(target, limits, (record, reply) => {
    if (record.warmUp || record.error !== null || record.ttftMs === null) return;
    const mockMs = (name: string) => Number(reply?.receipt?.[name]) / 1000;
    addedTtft.push(record.ttftMs - record.lagMs - mockMs('mock_ttft_us'));
    addedE2e.push(record.e2eMs - record.lagMs - mockMs('mock_e2e_us'));
  });
  const cpu = process.cpuUsage();
  const result = await run.run(scenario.plan((ratePerS) => constantShots(ratePerS, scenario.outputTokens)));
  const { user, system } = process.cpuUsage(cpu);
  return outcomeOf(scenario.name, result, user + system, addedTtft, addedE2e);
}

function outcomeOf(name: string, run: RunResult, cpuUs: number, ttft: number[], e2e: number[]): Outcome {
  const ok = run.records.filter((record) => record.error === null);
  const frames = ok.reduce((sum, record) => sum + record.frames, 0);
  const perS = (count: number) => Math.round((count * 1000) / run.elapsedMs);
  return {
    scenario: name,
    requests: run.records.length,
    failed: run.records.length - ok.length,
    requestsPerS: perS(ok.length),
    framesPerS: perS(frames),
    inFlightPeak: run.inFlightPeak,
    cpuShare: cpuUs / 1000 / run.elapsedMs,
    cpuUsPerRequest: cpuUs / run.records.length,
    cpuUsPerFrame: cpuUs / frames,
    addedTtftMs: percentilesOf(ttft),
    addedE2eMs: percentilesOf(e2e),
    lagMs: percentilesOf(run.records.filter((record) => !record.warmUp).map((record) => record.lagMs)),
  };
}

function* constantShots(ratePerS: number, outputTokens: number): Generator<Shot> {
  for (let index = 0; ; index += 1) {
    yield { atMs: (index * 1000) / ratePerS, promptTokens: 4, outputTokens, prompt: 'the of and to' };
  }
}

function* take<T>(items: Iterable<T>, count: number): Generator<T> {
  let taken = 0;
  for (const item of items) {
    if (taken === count) return;
    taken += 1;
    yield item;
  }
}

/** The mock in a child process; `--mock` is that child. */
async function mockProcess(core: number | null): Promise<{ url: string; stop: () => void }> {
  const own = [process.execPath, fileURLToPath(import.meta.url), '--mock'];
  const [command = '', ...args] = core === null ? own : ['taskset', '-c', String(core), ...own];
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(line.toString().trim()));
    child.once('exit', (code) => reject(new Error(`the mock ended with code ${code}`)));
  });
  return { url, stop: () => child.kill() };
}

/** Binds this process to one core and leaves another for the mock. false where that cannot be done. */
function pinned(): boolean {
  if (availableParallelism() < 2) return false;
  try {
    execFileSync('taskset', ['-a', '-p', '-c', '0', String(process.pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const json = process.argv.includes('--json');
  // The mock first: its core is chosen while this process may still use all.
  const canPin = pinned();
  const mock = await mockProcess(canPin ? 1 : null);
  try {
    const outcomes: Outcome[] = [];
    for (const scenario of SCENARIOS) {
      const outcome = await measure(scenario, mock.url);
      outcomes.push(outcome);
      if (!json) console.log(textOf(outcome));
    }
    const cores = canPin ? 'client on core 0, mock on core 1' : 'not bound to cores';
    if (json) console.log(JSON.stringify({ cores, node: process.version, scenarios: outcomes }, null, 2));
    else console.log(cores);
  } finally {
    mock.stop();
  }
}

function textOf(outcome: Outcome): string {
  const ms = (figures: Percentiles | null) =>
    figures === null ? '–' : `${figures.p50.toFixed(2)} / ${figures.p99.toFixed(2)} ms`;
  return [
    outcome.scenario,
    `  ${outcome.requests} requests, ${outcome.failed} failed; ${outcome.requestsPerS}/s, ${outcome.framesPerS} frames/s, at most ${outcome.inFlightPeak} in flight`,
    `  CPU ${(outcome.cpuShare * 100).toFixed(0)} % of a core: ${outcome.cpuUsPerRequest.toFixed(0)} µs a request, ${outcome.cpuUsPerFrame.toFixed(1)} µs a frame`,
    `  added p50 / p99: TTFT ${ms(outcome.addedTtftMs)}, E2E ${ms(outcome.addedE2eMs)}; send lag ${ms(outcome.lagMs)}`,
  ].join('\n');
}

async function serveMock(): Promise<void> {
  const mock: Mock = await startMock();
  console.log(mock.url);
  // Ends with its parent, however that ends.
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(0));
}

await (process.argv.includes('--mock') ? serveMock() : main());
