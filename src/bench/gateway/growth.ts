import { Registry } from 'prom-client';
import { prefixBlocks } from '../../core/serving/routing.ts';
import { knownFields } from '../../engine/openai-http/dialects.ts';
import { DEFAULT_LIMITS } from '../../gateway/limits.ts';
import { prefixOf } from '../../gateway/messages.ts';
import { ServedModel, type Waiter } from '../../gateway/served.ts';
import { percentilesOf } from '../statistics.ts';
import { round } from './measure.ts';
import { benchSnapshot } from './snapshot.ts';

const QUEUED = [0, 1_000, 10_000, 100_000] as const;
/** The median of so many batches: one with a garbage collection in it says nothing of the queue. */
const BATCHES = 7;
const TURNS = 2_000;

/** A request's way through a queue that so many others wait in: it ends, the head is let in, one more comes. */
export function queueCosts(): Record<string, number> {
  const costs: Record<string, number> = {};
  for (const queued of QUEUED) costs[queued] = round(turnUs(queued));
  return costs;
}

function turnUs(queued: number): number {
  const [endpoint] = benchSnapshot('http://127.0.0.1:9', 1, 1, (key) => key).endpoints.values();
  const snapshot = endpoint?.servedModels[0];
  if (snapshot === undefined) throw new Error('the snapshot of the benchmark has no served model');
  const quiet = { info: () => {}, warn: () => {}, error: () => {} };
  const deps = {
    connect: () => {
      throw new Error('nothing is sent here');
    },
    knownFields,
    now: Date.now,
    monotonicMs: () => performance.now(),
    newRequestId: () => 'req',
    record: () => {},
    log: quiet,
    registry: new Registry(),
  };
  const queue = { count: 2 * queued + 2, workUs: 1e15, bytes: 1e15, ageMs: 600_000 };
  const model = new ServedModel({ ...snapshot, batchPerUnit: 1 }, deps, { ...DEFAULT_LIMITS, queue });
  const estimate = { work: { prefillUs: 1, decodeUs: 1 }, kvTokens: 10, outputTokens: 1, sequences: 1 };
  const shares = Array.from({ length: 1_000 }, (_, n) => [{ id: `key-${n}`, weight: 1 + (n % 3) }]);
  const keyOf = (n: number) => ({ keyId: `key-${n}`, tenantId: 't-bench' });
  let running = model.reserve(keyOf(0), estimate);
  const join = (n: number) => {
    const waiter: Waiter = {
      key: keyOf(n % shares.length),
      shares: shares[n % shares.length] ?? [],
      estimate,
      workUs: 2,
      bytes: 100,
      // Deadlines in no order, as different callers have them.
      deadlineMs: performance.now() + 300_000 + ((n * 7_919) % 100_000),
      admit: (reservation) => {
        running = reservation;
        runningKey = waiter.key.keyId;
      },
      expire: () => {},
    };
    model.enqueue(waiter);
  };
  let runningKey = 'key-0';
  for (let n = 0; n < queued; n += 1) join(n);
  const turn = (n: number) => {
    join(n);
    model.settle(runningKey, running, estimate.work);
  };
  const batchUs = Array.from({ length: BATCHES + 1 }, (_, batch) => {
    const start = process.cpuUsage();
    for (let n = 0; n < TURNS; n += 1) turn(batch * TURNS + n);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / TURNS;
  });
  model.retire();
  // The first batch is the compiler's.
  return percentilesOf(batchUs.slice(1))?.p50 ?? Number.NaN;
}

const PROMPT_BYTES = 400 * 1024;
const HASHES = 200;

/** Prefix hashing of a 400 KB prompt, as routing asks for it, in milliseconds of CPU. */
export function prefixHashMs(): number {
  const text = 'lorem ipsum dolor sit amet '.repeat(Math.ceil(PROMPT_BYTES / 27)).slice(0, PROMPT_BYTES);
  const body = { messages: [{ role: 'user', content: text }] };
  for (let n = 0; n < HASHES; n += 1) prefixBlocks(prefixOf('t-bench', 'chat', body));
  const start = process.cpuUsage();
  for (let n = 0; n < HASHES; n += 1) prefixBlocks(prefixOf('t-bench', 'chat', body));
  const { user, system } = process.cpuUsage(start);
  return round((user + system) / 1_000 / HASHES);
}
