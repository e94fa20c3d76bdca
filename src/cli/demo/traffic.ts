import { type TimedReply, timedChat } from '../../bench/client.ts';
import type { Cubit } from '../../main.ts';
import { seededRandom } from '../../workload/random.ts';
import { textOfTokens } from '../../workload/text.ts';
import { bar, liveScreen, quantile } from '../screen.ts';
import type { Plan } from './plan.ts';

export interface Sent {
  readonly replies: readonly TimedReply[];
}

interface Target {
  readonly url: string;
  readonly apiKey: string;
  readonly model: string;
}

const REDRAW_MS = 250;
const QUIET_MS = 5_000;

/** Sends the plan on time, whatever the answers do (arrivals do not wait for the server), and shows what goes on. */
export async function sendAll(cubit: Cubit, target: Target, plan: Plan, seed: number): Promise<Sent> {
  const random = seededRandom(seed);
  const replies: TimedReply[] = [];
  const screen = liveScreen(QUIET_MS);
  const startedAt = performance.now();
  let sentCount = 0;
  const draw = () => screen.draw(...view(cubit, plan, replies, sentCount, performance.now() - startedAt));
  const ticker = setInterval(draw, REDRAW_MS);
  try {
    await Promise.all(
      plan.requests.map(async (request) => {
        const prompt = textOfTokens(request.promptTokens, random);
        await new Promise((resolve) => setTimeout(resolve, request.atMs));
        sentCount += 1;
        replies.push(await timedChat({ ...target, prompt, outputTokensMax: request.outputTokens }));
      }),
    );
  } finally {
    clearInterval(ticker);
  }
  draw();
  return { replies };
}

function view(
  cubit: Cubit,
  plan: Plan,
  replies: readonly TimedReply[],
  sentCount: number,
  elapsedMs: number,
): [rows: string[], short: string] {
  const served = cubit.stats().servedModels[0];
  const running = served?.running ?? 0;
  const queued = served?.queued ?? 0;
  const usedShare = served === undefined ? 0 : served.settledUs / (elapsedMs * 1000 * Math.max(1, served.readyUnits));
  const levelShare = served === undefined || served.capacityUs === 0 ? 0 : served.levelUs / served.capacityUs;
  const ttft = replies.flatMap((reply) => reply.ttftMs ?? []);
  const tpot = replies.flatMap((reply) => reply.tpotMs ?? []);
  const ms = (value: number | null) => (value === null ? '–' : `${value.toFixed(0)} ms`);
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
  const rows = [
    `   time         ${(elapsedMs / 1000).toFixed(0).padStart(4)} s    sent ${sentCount}/${plan.requests.length}    ended ${replies.length}`,
    `   utilisation  ${bar(usedShare)} ${percent(usedShare)} of the work that the unit supplied so far`,
    `   bucket       ${bar(levelShare)} ${percent(levelShare)} of the burst it allows`,
    `   running ${String(running).padEnd(4)} queued ${String(queued).padEnd(4)} TTFT p50 ${ms(quantile(ttft, 0.5))}, p95 ${ms(quantile(ttft, 0.95))}    TPOT p50 ${ms(quantile(tpot, 0.5))}, p95 ${ms(quantile(tpot, 0.95))}`,
  ];
  const short = `   ${(elapsedMs / 1000).toFixed(0)} s: sent ${sentCount}, ended ${replies.length}, running ${running}, queued ${queued}, utilisation ${percent(usedShare)}, TTFT p50 ${ms(quantile(ttft, 0.5))}, TPOT p50 ${ms(quantile(tpot, 0.5))}`;
  return [rows, short];
}
