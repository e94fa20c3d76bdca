import type { ChatCall, TimedReply } from '../bench/client.ts';
import { CubitError } from '../core/errors.ts';
import { textOfTokens } from '../workload/text.ts';

/** One request to the engine that is profiled. */
export interface ProbeRequest {
  readonly prompt: string;
  readonly outputTokens: number;
  /** Prefixes are reused only between probes of the same salt, where the engine knows salts. */
  readonly salt: string;
  readonly onText?: (count: number) => void;
}

/** What came back: lengths as the engine counts them, times since one origin for all probes. */
export interface ProbeReply {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly sentAtMs: number;
  /** When each piece of text came; at least one. */
  readonly textAtMs: readonly number[];
  readonly endedAtMs: number;
}

export type Probe = (request: ProbeRequest) => Promise<ProbeReply>;

/** Sends one chat request and times it, as `timedChat` does. */
export type Send = (
  call: Pick<ChatCall, 'prompt' | 'outputTokensMax' | 'headers' | 'extraBody' | 'onText'>,
) => Promise<TimedReply>;

const SALT_HEADER = 'x-cubit-cache-salt';
const TRIES_MAX = 3;

/**
 * A probe over `send`, timed with `nowMs` as its answer comes. Asks for exact output lengths (`ignore_eos`) until the engine refuses that. Time that a Cubit let
 * the request wait is taken off its times. Throws `engine_failed` for what cannot be measured: no usage, a usage that
 * contradicts what was sent, no text after three tries; and for answers that are none.
 */
export function probeOf(send: Send, nowMs: () => number): Probe {
  let exact = true;
  return async (request) => {
    for (let attempt = 1; ; attempt += 1) {
      const textAtMs: number[] = [];
      const sentAtMs = nowMs();
      const reply = await send({
        prompt: request.prompt,
        outputTokensMax: request.outputTokens,
        headers: { [SALT_HEADER]: request.salt },
        extraBody: exact ? { ignore_eos: true } : {},
        onText: (frames) => {
          textAtMs.push(nowMs());
          request.onText?.(frames);
        },
      });
      const endedAtMs = nowMs();
      if (exact && reply.status === 400) {
        exact = false;
        continue;
      }
      if (reply.error !== null || reply.status !== 200) throw refused(reply);
      if (reply.ttftMs === null && attempt < TRIES_MAX) continue;
      checkReply(reply);
      const waitedMs = Number(reply.receipt?.['wait_ms'] ?? 0);
      return {
        promptTokens: reply.promptTokens,
        cachedTokens: reply.cachedTokens,
        outputTokens: reply.outputTokens,
        sentAtMs: sentAtMs + waitedMs,
        textAtMs,
        endedAtMs,
      };
    }
  };
}

function refused({ error, status }: TimedReply): CubitError {
  const hint =
    status === 401 || status === 403
      ? 'Give a key that may use the model with --api-key-env.'
      : status === 429
        ? 'It is busy with others or limits the rate: profile it when it is idle, or lower --sequences.'
        : status === 404
          ? 'Check the URL and --model.'
          : 'See the engine’s log.';
  return new CubitError('engine_failed', `The engine answered ${status} (${error ?? 'no error code'}). ${hint}`);
}

/** Refuses a reply without text, and one whose usage cannot be true. */
function checkReply({ cachedTokens, promptTokens, streamed, ttftMs, usage }: TimedReply): void {
  if (!streamed) throw unmeasurable('it sends whole answers though a stream was asked for');
  if (ttftMs === null) throw unmeasurable(`it sent no text in ${TRIES_MAX} tries, so nothing can be timed`);
  if (usage === 'missing') {
    throw unmeasurable('its streams carry no usage (stream_options.include_usage), so lengths are not known');
  }
  if (usage === 'wrong') {
    throw unmeasurable('its usage counts fewer output tokens than it sent, or more than were the limit');
  }
  for (const [name, value] of Object.entries({ prompt_tokens: promptTokens, cached_tokens: cachedTokens })) {
    if (!Number.isInteger(value) || value < 0) throw unmeasurable(`its usage has ${name} ${value}`);
  }
  if (promptTokens === 0) throw unmeasurable('its usage counts no prompt tokens');
  if (cachedTokens > promptTokens) {
    throw unmeasurable(`its usage has ${cachedTokens} cached tokens of ${promptTokens} prompt tokens`);
  }
}

function unmeasurable(why: string): CubitError {
  return new CubitError('engine_failed', `This engine cannot be profiled: ${why}.`);
}

/** How the engine counts text: a fixed part (its chat template) and tokens per word. */
export interface Lengths {
  readonly fixedTokens: number;
  readonly tokensPerWord: number;
}

const SHORT_WORDS = 16;
const LONG_WORDS = 112;

/**
 * Learns how long prompts are from two of them. Throws `engine_failed` where the counts do not grow with the text as any
 * tokenizer's would.
 */
export async function learnLengths(probe: Probe, random: () => number): Promise<Lengths> {
  const ask = (words: number) =>
    probe({ prompt: textOfTokens(words, random), outputTokens: 4, salt: `lengths-${words}` });
  const short = await ask(SHORT_WORDS);
  const long = await ask(LONG_WORDS);
  const tokensPerWord = (long.promptTokens - short.promptTokens) / (LONG_WORDS - SHORT_WORDS);
  if (!(tokensPerWord > 0.5 && tokensPerWord < 8)) {
    throw unmeasurable(
      `it counts ${short.promptTokens} tokens in ${SHORT_WORDS} words and ${long.promptTokens} in ${LONG_WORDS}`,
    );
  }
  return { fixedTokens: Math.max(0, short.promptTokens - SHORT_WORDS * tokensPerWord), tokensPerWord };
}

/** Random text that makes a prompt of about `tokens` tokens; no two are alike. */
export function promptOf(tokens: number, lengths: Lengths, random: () => number): string {
  return textOfTokens(Math.max(1, Math.round((tokens - lengths.fixedTokens) / lengths.tokensPerWord)), random);
}
