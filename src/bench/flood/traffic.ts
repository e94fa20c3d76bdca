import { seededRandom } from '../../workload/random.ts';
import { textOfTokens } from '../../workload/text.ts';
import { type CancelGroup, timedChat } from '../client.ts';

export interface Tenant {
  readonly url: string;
  readonly apiKey: string;
  readonly model: string;
}

const PAUSE_MS = 300;
const QUIET_OUTPUT_TOKENS = 8;
const FLOOD_OUTPUT_TOKENS = 60;
const FLOOD_PROMPT_TOKENS = 40;
/** Open loop, but this process has to hold what is on its way. */
const IN_FLIGHT_MAX = 200;
/** So long may either wait for its turn. */
const PATIENCE = { 'x-cubit-max-wait-ms': '60000' };

/** One request after the other, a pause of random length between them; TTFT of those that were answered, ms. */
export async function quiet(
  tenant: Tenant,
  { requests, promptTokens }: { readonly requests: number; readonly promptTokens: number },
  seed: number,
): Promise<number[]> {
  const random = seededRandom(seed + 1_000);
  const ttftMs: number[] = [];
  for (let n = 0; n < requests; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (1 + 2 * random())));
    const prompt = textOfTokens(promptTokens, random);
    const reply = await timedChat({ ...tenant, prompt, outputTokensMax: QUIET_OUTPUT_TOKENS, headers: PATIENCE });
    if (reply.ttftMs !== null) ttftMs.push(reply.ttftMs);
    else console.error(`quiet request refused: ${reply.status} ${reply.error}`);
  }
  return ttftMs;
}

/** So many requests a second whatever the answers do, until the group is cancelled. */
export async function flood(tenant: Tenant, perS: number, group: CancelGroup, seed: number) {
  const random = seededRandom(seed + 2_000);
  const counts = { sent: 0, answered: 0, refused: 0, dropped: 0 };
  const pending = new Set<Promise<void>>();
  while (!group.cancelled) {
    if (pending.size >= IN_FLIGHT_MAX) counts.dropped += 1;
    else {
      counts.sent += 1;
      const prompt = textOfTokens(FLOOD_PROMPT_TOKENS, random);
      const call = { ...tenant, prompt, outputTokensMax: FLOOD_OUTPUT_TOKENS, headers: PATIENCE, group };
      const one: Promise<void> = timedChat(call)
        .then(
          ({ status }) => {
            if (status === 200) counts.answered += 1;
            else counts.refused += 1;
          },
          () => {
            // Cancelled with the phase.
          },
        )
        .finally(() => pending.delete(one));
      pending.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000 / perS));
  }
  await Promise.all(pending);
  return counts;
}
