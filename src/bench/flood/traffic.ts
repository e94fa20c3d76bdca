import { loadavg } from 'node:os';
import { type Random, seededRandom } from '../../workload/random.ts';
import { textOfTokens } from '../../workload/text.ts';
import { CancelGroup, type ChatMessage, type TimedReply, timedChat } from '../client.ts';

export interface Tenant {
  readonly url: string;
  readonly apiKey: string;
  readonly model: string;
}

export interface Shape {
  readonly requests: number;
  readonly promptTokens: number;
  readonly floodPerS: number;
}

/** A quiet request that was answered. */
export interface Sample {
  readonly ttftMs: number;
  /** Of it, before the gateway let it in. */
  readonly waitMs: number;
  readonly tpotMs: number | null;
}

/** Both tenants' answers: times of the quiet one's, and how often each end came, `429 model_units_exhausted` say. */
export interface Phase {
  readonly samples: Sample[];
  readonly quietEnds: Record<string, number>;
  readonly floodEnds: Record<string, number>;
  /** Not sent, because so many were on their way. */
  dropped: number;
  readonly loadAverage: number;
}

const PAUSE_MS = 200;
const SYSTEM_TOKENS = 10;
const QUIET_OUTPUT_TOKENS = 8;
const FLOOD_OUTPUT_TOKENS = 60;
const FLOOD_PROMPT_TOKENS = 40;
/** Open loop, but this process has to hold what is on its way. */
const IN_FLIGHT_MAX = 200;
/** So long may either wait for its turn. */
const PATIENCE = { 'x-cubit-max-wait-ms': '60000' };
/** Nothing at all for so long ends a quiet request: the benchmark ends, whatever becomes of the engine. */
const SILENCE_MS_MAX = 90_000;
/** The flood has the engine when so many of its requests have a first token, or after so long. */
const FLOODED_FIRST_TOKENS = 4;
const FLOODED_MS_MAX = 15_000;

/** Quiet requests, one after the other with a pause of random length before each, alone or while the other tenant floods. */
export async function phase(quiet: Tenant, flood: Tenant | null, shape: Shape, seed: number): Promise<Phase> {
  const result: Phase = { samples: [], quietEnds: {}, floodEnds: {}, dropped: 0, loadAverage: loadavg()[0] as number };
  if (flood === null) {
    await askQuietly(quiet, shape, seed, result);
    return result;
  }
  const group = new CancelGroup();
  let hasEngine = () => {};
  const flooded = new Promise<void>((resolve) => {
    hasEngine = resolve;
    setTimeout(resolve, FLOODED_MS_MAX).unref();
  });
  const flooding = floodOf(flood, shape.floodPerS, group, seed, result, hasEngine);
  try {
    await flooded;
    await askQuietly(quiet, shape, seed, result);
  } finally {
    group.cancel();
    await flooding;
  }
  return result;
}

async function askQuietly(tenant: Tenant, shape: Shape, seed: number, result: Phase): Promise<void> {
  const random = seededRandom(seed + 1_000);
  for (let n = 0; n < shape.requests; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (1 + 2 * random())));
    const prompt = conversation(shape.promptTokens, random);
    const call = { ...tenant, prompt, outputTokensMax: QUIET_OUTPUT_TOKENS, headers: PATIENCE };
    const reply = await timedChat({ ...call, silenceMsMax: SILENCE_MS_MAX });
    count(result.quietEnds, reply);
    const { ttftMs, tpotMs, receipt } = reply;
    const waitMs = Number(receipt?.['wait_ms'] ?? Number.NaN);
    if (ttftMs !== null && reply.error === null) result.samples.push({ ttftMs, waitMs, tpotMs });
  }
}

/** So many requests a second whatever the answers do, until the group is cancelled. */
async function floodOf(
  tenant: Tenant,
  perS: number,
  group: CancelGroup,
  seed: number,
  result: Phase,
  hasEngine: () => void,
): Promise<void> {
  const random = seededRandom(seed + 2_000);
  const pending = new Set<Promise<void>>();
  let first = 0;
  const onText = (frames: number) => {
    if (frames !== 1) return;
    first += 1;
    if (first === FLOODED_FIRST_TOKENS) hasEngine();
  };
  while (!group.cancelled) {
    if (pending.size >= IN_FLIGHT_MAX) result.dropped += 1;
    else {
      const prompt = conversation(FLOOD_PROMPT_TOKENS, random);
      const call = { ...tenant, prompt, outputTokensMax: FLOOD_OUTPUT_TOKENS, headers: PATIENCE, group, onText };
      const one: Promise<void> = timedChat(call)
        .then(
          (reply) => count(result.floodEnds, reply),
          // Cancelled with the phase.
          () => count(result.floodEnds, null),
        )
        .finally(() => pending.delete(one));
      pending.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000 / perS));
  }
  await Promise.all(pending);
}

/** With a beginning of its own: what is cached, which depends on the sequences that are free, makes no difference. */
function conversation(tokens: number, random: Random): readonly ChatMessage[] {
  const content = textOfTokens(tokens - SYSTEM_TOKENS, random);
  return [
    { role: 'system', content: textOfTokens(SYSTEM_TOKENS, random) },
    { role: 'user', content },
  ];
}

function count(ends: Record<string, number>, reply: TimedReply | null): void {
  const end = reply === null ? 'cancelled' : `${reply.status} ${reply.error ?? 'ok'}`;
  ends[end] = (ends[end] ?? 0) + 1;
}
