import { type Dispatcher, request } from 'undici';

/** One timed streaming chat request against any OpenAI-compatible URL. Times are from the send. */
export interface TimedReply {
  readonly status: number;
  /** OpenAI's error code, when it failed; `stream_error` for an error event after the first byte. */
  readonly error: string | null;
  readonly ttftMs: number | null;
  readonly tpotMs: number | null;
  readonly e2eMs: number;
  /** Between consecutive frames that carry text. */
  readonly itlMs: readonly number[];
  /** `missing`: none was sent, the token counts are 0. `wrong`: fewer tokens than frames, or more than were allowed. */
  readonly usage: 'stated' | 'missing' | 'wrong';
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** `usage.cubit` when the server is a Cubit. */
  readonly receipt: Readonly<Record<string, unknown>> | null;
}

export interface ChatCall {
  readonly url: string;
  readonly apiKey: string;
  readonly model: string;
  readonly prompt: string;
  readonly outputTokensMax: number;
  readonly signal?: AbortSignal;
  readonly dispatcher?: Dispatcher;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called at every frame that carries text, with its number. */
  readonly onText?: (frames: number) => void;
  /** More fields of the body, such as `ignore_eos`. */
  readonly extraBody?: Readonly<Record<string, unknown>>;
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens?: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
    readonly cubit?: Readonly<Record<string, unknown>>;
  } | null;
  readonly error?: { readonly code?: string };
}

/** Sends one request and reads it to the end. Throws only when the connection itself fails or the signal fires. */
export async function timedChat(call: ChatCall): Promise<TimedReply> {
  const sentAt = performance.now();
  const reply = await request(`${call.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${call.apiKey}`, 'content-type': 'application/json', ...call.headers },
    body: JSON.stringify({
      model: call.model,
      messages: [{ role: 'user', content: call.prompt }],
      max_tokens: call.outputTokensMax,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
      ...call.extraBody,
    }),
    headersTimeout: 0,
    bodyTimeout: 0,
    ...(call.signal ? { signal: call.signal } : {}),
    ...(call.dispatcher ? { dispatcher: call.dispatcher } : {}),
  });
  const textAtMs: number[] = [];
  let usage: Chunk['usage'] = null;
  let error: string | null = null;
  if (reply.statusCode !== 200) {
    const problem = (await reply.body.json().catch(() => null)) as Chunk | null;
    error = problem?.error?.code ?? `http_${reply.statusCode}`;
  } else {
    for await (const chunk of sseData(reply.body)) {
      if (chunk.error !== undefined) error = 'stream_error';
      if ((chunk.choices?.[0]?.delta?.content ?? '') !== '') {
        textAtMs.push(performance.now() - sentAt);
        call.onText?.(textAtMs.length);
      }
      if (chunk.usage) usage = chunk.usage;
    }
  }
  const e2eMs = performance.now() - sentAt;
  const ttftMs = textAtMs[0] ?? null;
  const outputTokens = usage?.completion_tokens ?? 0;
  return {
    status: reply.statusCode,
    error,
    ttftMs,
    tpotMs: ttftMs === null || outputTokens < 2 ? null : (e2eMs - ttftMs) / (outputTokens - 1),
    e2eMs,
    itlMs: textAtMs.slice(1).map((ms, index) => ms - textAtMs[index]!),
    usage: !usage
      ? 'missing'
      : outputTokens < textAtMs.length || outputTokens > call.outputTokensMax
        ? 'wrong'
        : 'stated',
    promptTokens: usage?.prompt_tokens ?? 0,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
    outputTokens,
    receipt: usage?.cubit ?? null,
  };
}

async function* sseData(body: AsyncIterable<Buffer>): AsyncGenerator<Chunk> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body) {
    const frames = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = frames.pop() ?? '';
    for (const frame of frames) {
      if (!frame.startsWith('data: ') || frame === 'data: [DONE]') continue;
      yield JSON.parse(frame.slice(6)) as Chunk;
    }
  }
}
