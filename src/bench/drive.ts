import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Conversation } from '../workload/conversation.ts';
import { childSeed, seededRandom } from '../workload/random.ts';
import { textOfTokens } from '../workload/text.ts';
import type { ChatMessage } from './client.ts';
import type { Plan, Shot } from './plan.ts';
import type { RequestRecord } from './record.ts';
import type { LoadRun } from './run.ts';

/** Sends without a pause for answers to be read; more would starve them when the client falls behind. */
const SENDS_IN_A_ROW = 32;
/** A closed loop waits at least this after a failure, and at most that where a server asks for it. */
const BACK_OFF_MS = 100;
const BACK_OFF_MS_MAX = 10_000;

/** Sends a plan until it or the run ends. `onSent` is called when nothing more will be sent; resolves after the answers. */
export async function drive(run: LoadRun, plan: Plan, onSent: () => void): Promise<void> {
  switch (plan.kind) {
    case 'open':
      return open(run, plan.shots, onSent);
    case 'closed':
      return closed(run, plan.shots, plan.concurrency, onSent);
    case 'conversations':
      return talk(run, plan.conversations, plan.seed, onSent);
  }
}

async function open(run: LoadRun, shots: Iterable<Shot>, onSent: () => void): Promise<void> {
  const open = new Set<Promise<unknown>>();
  let row = 0;
  // The next shot is made, with its prompt, before it is due.
  for (const shot of shots) {
    if (shot.atMs >= run.limits.spanMs) {
      await pause(run, run.limits.spanMs - run.nowMs());
      break;
    }
    row = (await pause(run, shot.atMs - run.nowMs())) ? 0 : row + 1;
    if (row % SENDS_IN_A_ROW === SENDS_IN_A_ROW - 1) await setImmediate();
    if (run.stopping.aborted) break;
    track(open, run.send(shot, shot.atMs));
  }
  onSent();
  await Promise.all(open);
}

async function closed(run: LoadRun, shots: Iterable<Shot>, concurrency: number, onSent: () => void): Promise<void> {
  const iterator = shots[Symbol.iterator]();
  let sending = concurrency;
  const worker = async () => {
    while (!run.stopping.aborted) {
      const next = iterator.next();
      if (next.done === true) break;
      const { record } = await run.send(next.value, run.nowMs());
      if (record.error !== null) await pause(run, backOffMs(record));
    }
    sending -= 1;
    // Others may still wait for their last answer.
    if (sending === concurrency - 1) onSent();
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

async function talk(run: LoadRun, all: Iterable<Conversation>, seed: number, onSent: () => void): Promise<void> {
  const open = new Set<Promise<unknown>>();
  let index = 0;
  for (const conversation of all) {
    await pause(run, Math.min(conversation.atMs, run.limits.spanMs) - run.nowMs());
    if (run.stopping.aborted || conversation.atMs >= run.limits.spanMs) break;
    track(open, converse(run, conversation, childSeed(seed, index)));
    index += 1;
  }
  onSent();
  await Promise.all(open);
}

/** Every turn sends the whole history, with the answers that the server gave. A turn that fails ends the conversation. */
async function converse(run: LoadRun, conversation: Conversation, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const history: ChatMessage[] = [];
  let historyTokens = 0;
  let dueAtMs = conversation.atMs;
  for (const turn of conversation.turns) {
    await pause(run, dueAtMs - run.nowMs());
    if (run.stopping.aborted) return;
    history.push({ role: 'user', content: textOfTokens(turn.userTokens, random) });
    historyTokens += turn.userTokens;
    const shot = { prompt: [...history], promptTokens: historyTokens, outputTokens: turn.outputTokens };
    const { record, text } = await run.send(shot, dueAtMs, true);
    if (record.error !== null) return;
    history.push({ role: 'assistant', content: text });
    historyTokens += record.outputTokens;
    // `thinkMs` belongs to the turn that follows; the first one's is 0.
    dueAtMs = run.nowMs() + (conversation.turns[conversation.turns.indexOf(turn) + 1]?.thinkMs ?? 0);
  }
}

function backOffMs(record: RequestRecord): number {
  return Math.min(BACK_OFF_MS_MAX, Math.max(BACK_OFF_MS, record.retryAfterMs ?? 0));
}

function track(open: Set<Promise<unknown>>, promise: Promise<unknown>): void {
  open.add(promise);
  void promise.finally(() => open.delete(promise));
}

/** Waits, at most until the run stops sending. False when there was nothing to wait for. */
async function pause(run: LoadRun, waitMs: number): Promise<boolean> {
  if (waitMs <= 0 || run.stopping.aborted) return false;
  const untilMs = run.nowMs() + waitMs;
  await setTimeout(waitMs, undefined, { signal: run.stopping }).catch(() => undefined);
  // Timers may fire a millisecond early; nothing is sent before it is due.
  while (run.nowMs() < untilMs && !run.stopping.aborted) await setImmediate();
  return true;
}
