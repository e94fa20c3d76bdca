import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, EngineReply, EngineRequest, InferenceKind } from './port.ts';

/** A running engine to hold against the contract: SmolLM2-135M-Instruct, context 512, 4 sequences. */
export interface EngineHarness {
  readonly engine: Engine;
  /** Ends what serves, without a goodbye. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

interface Event {
  readonly choices: readonly {
    readonly delta?: { readonly role?: string; readonly content?: string };
    readonly text?: string;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Usage | null;
}
interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens: number };
}
interface Answer {
  readonly text: string;
  readonly finish: string | null;
  readonly usage: Usage;
}

const LIMIT_MS = 60_000;
const CONTEXT_TOKENS = 512;
let requests = 0;

function request(kind: InferenceKind, body: Record<string, unknown>, cacheSalt = `salt-${++requests}`): EngineRequest {
  return { kind, body, requestId: `req-${requests}`, cacheSalt };
}

function ask(text: string, more: Record<string, unknown> = {}, salt?: string): EngineRequest {
  const messages = [{ role: 'user', content: text }];
  return request('chat', { messages, temperature: 0, max_tokens: 12, ...more }, salt);
}

function soon(): AbortSignal {
  return AbortSignal.timeout(LIMIT_MS);
}

async function bytesOf(reply: EngineReply): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of reply.bytes) chunks.push(chunk);
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
}

function eventsOf(stream: string): Event[] {
  const lines = stream.split('\n\n').filter((line) => line !== '');
  expect(lines.at(-1)).toBe('data: [DONE]');
  return lines.slice(0, -1).map((line) => JSON.parse(line.replace(/^data: /, '')));
}

function answerOfEvents(events: readonly Event[]): Answer {
  const choices = events.flatMap((event) => event.choices);
  const usage = events.at(-1)?.usage;
  expect(events.at(-1)?.choices).toEqual([]);
  return {
    text: choices.map((choice) => choice.delta?.content ?? choice.text ?? '').join(''),
    finish: choices.map((choice) => choice.finish_reason).find((reason) => reason !== null) ?? null,
    usage: usage as Usage,
  };
}

/** Registers the contract of `Engine` for one implementation. `start` is called once; `kill` is used by the last case. */
export function engineContract(name: string, start: () => Promise<EngineHarness>): void {
  describe(`engine contract: ${name}`, () => {
    let harness: EngineHarness;
    let engine: Engine;
    beforeAll(async () => {
      harness = await start();
      engine = harness.engine;
    });
    afterAll(() => harness?.close());

    const whole = async (asked: EngineRequest): Promise<Answer> => {
      const reply = await engine.send(asked, soon());
      expect(reply.stream).toBe(false);
      const json = JSON.parse(await bytesOf(reply));
      const [choice] = json.choices;
      return { text: choice.message?.content ?? choice.text, finish: choice.finish_reason, usage: json.usage };
    };
    const streamed = async (asked: EngineRequest): Promise<Answer> => {
      const reply = await engine.send({ ...asked, body: { ...asked.body, stream: true } }, soon());
      expect(reply.stream).toBe(true);
      return answerOfEvents(eventsOf(await bytesOf(reply)));
    };
    const running = async (): Promise<number> => (await engine.metrics(soon())).running;
    const idle = async (withinMs: number): Promise<void> => {
      const deadline = Date.now() + withinMs;
      while ((await running()) > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await running()).toBe(0);
    };

    it('is healthy', async () => {
      expect(await engine.health(soon())).toEqual({ ok: true, reason: null });
    });

    it('answers a chat whole and streamed, with the same words and counts', async () => {
      const asked = ask('Name two colours.');
      const first = await whole(asked);
      const again = await streamed(asked);
      expect(first.text.length).toBeGreaterThan(0);
      expect(['stop', 'length']).toContain(first.finish);
      expect(again.text).toBe(first.text);
      expect(again.finish).toBe(first.finish);
      expect(again.usage.completion_tokens).toBe(first.usage.completion_tokens);
    });

    it('streams the role first, then text, then the finish, then the usage', async () => {
      const reply = await engine.send(ask('Hello', { stream: true, max_tokens: 4 }), soon());
      const events = eventsOf(await bytesOf(reply));
      expect(events[0]?.choices[0]?.delta?.role).toBe('assistant');
      expect(events.at(-2)?.choices[0]?.finish_reason).not.toBeNull();
      expect(events.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 4 } });
    });

    it('puts usage into every chunk when asked', async () => {
      const stream_options = { continuous_usage_stats: true };
      const reply = await engine.send(ask('Hello', { stream: true, max_tokens: 4, stream_options }), soon());
      const counts = eventsOf(await bytesOf(reply)).map((event) => event.usage?.completion_tokens);
      expect(counts.every((count) => typeof count === 'number')).toBe(true);
      expect(counts).toEqual(counts.toSorted((a, b) => (a as number) - (b as number)));
    });

    it('counts prompt tokens as its tokenizer does', async () => {
      const asked = ask('How long is a piece of string?', { max_tokens: 1 });
      const { usage } = await whole(asked);
      expect(usage.prompt_tokens).toBe(await engine.countTokens(asked, soon()));
      expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
      expect(usage.completion_tokens).toBe(1);
    });

    it('completes text, and takes token ids', async () => {
      const text = await whole(request('completion', { prompt: '1, 2, 3, 4,', temperature: 0, max_tokens: 4 }));
      expect(text.text).toContain('5');
      const ids = await whole(request('completion', { prompt: [33, 28, 34], temperature: 0, max_tokens: 2 }));
      expect(ids.usage.prompt_tokens).toBe(3);
    });

    it('draws the same with the same seed, and mostly other with another', async () => {
      const draw = async (seed: number) => (await whole(ask('Tell me a story.', { temperature: 1.5, seed }))).text;
      const [first, again, ...others] = [await draw(7), await draw(7), await draw(8), await draw(9)];
      expect(again).toBe(first);
      expect(others.some((other) => other !== first)).toBe(true);
    });

    it('reuses a prefix under the same salt only', async () => {
      const asked = (salt: string) => ask('Repeat after me: the quick brown fox.', { max_tokens: 2 }, salt);
      const { usage: first } = await whole(asked('tenant-a'));
      const { usage: second } = await whole(asked('tenant-a'));
      const { usage: other } = await whole(asked('tenant-b'));
      expect(first.prompt_tokens_details?.cached_tokens).toBe(0);
      expect(second.prompt_tokens_details?.cached_tokens).toBe(second.prompt_tokens - 1);
      expect(other.prompt_tokens_details?.cached_tokens).toBe(0);
    });

    it('goes on rightly from a reused prefix', async () => {
      const count = () =>
        whole(request('completion', { prompt: '1, 2, 3, 4,', temperature: 0, max_tokens: 5 }, 'counting'));
      for (const { text } of [await count(), await count()]) expect(text).toContain(' 5, 6');
    });

    it('frees the slot soon after a cancel, and breaks the stream', async () => {
      const abort = new AbortController();
      const reply = await engine.send(ask('Count to a thousand.', { stream: true, max_tokens: 400 }), abort.signal);
      const stream = reply.bytes[Symbol.asyncIterator]();
      await stream.next();
      expect(await running()).toBe(1);
      abort.abort();
      await expect(
        (async () => {
          while (!(await stream.next()).done);
        })(),
      ).rejects.toMatchObject({ code: 'client_closed' });
      await idle(2_000);
    });

    it('frees the slot when the reader just leaves, and when it leaves before the first token', async () => {
      const reply = await engine.send(ask('Count to a thousand.', { stream: true, max_tokens: 400 }), soon());
      for await (const _ of reply.bytes) break;
      const long = ask('word '.repeat(400), { stream: true });
      await expect(engine.send(long, AbortSignal.timeout(200))).rejects.toMatchObject({ code: 'client_closed' });
      await idle(3_000);
    });

    it('ends at a stop string, which is not part of the answer', async () => {
      const asked = request('completion', {
        prompt: '1, 2, 3, 4,',
        temperature: 0,
        max_tokens: 40,
        stop: [' 7,', '99'],
      });
      const first = await whole(asked);
      expect(first).toMatchObject({ text: ' 5, 6,', finish: 'stop' });
      expect((await streamed(asked)).text).toBe(first.text);
    });

    it('says by how much a prompt is too long', async () => {
      const sent = engine.send(ask('word '.repeat(CONTEXT_TOKENS)), soon());
      await expect(sent).rejects.toMatchObject({
        code: 'context_length_exceeded',
        message: expect.stringContaining(String(CONTEXT_TOKENS)),
      });
    });

    it('refuses at once what is too long by far, and holds nobody up with it', async () => {
      const bodies = [
        { messages: [{ role: 'user', content: 'word '.repeat(1_600_000) }] },
        { messages: Array(200_000).fill({ role: 'user', content: '' }) },
      ];
      const startedMs = performance.now();
      for (const body of bodies) {
        await expect(engine.send(request('chat', body), soon())).rejects.toMatchObject({
          code: 'context_length_exceeded',
        });
      }
      expect(performance.now() - startedMs).toBeLessThan(10_000);
    });

    it('refuses a body over the limit, and its connection goes on', async () => {
      const prompt = Array(1_200_000).fill(1e15);
      await expect(engine.send(request('completion', { prompt }), soon())).rejects.toMatchObject({
        code: 'invalid_request',
      });
      for (let i = 0; i < 3; i += 1)
        expect((await whole(ask('Hello', { max_tokens: 1 }))).usage.completion_tokens).toBe(1);
    });

    it('fills the context and ends with length', async () => {
      const prompt = 'word '.repeat(CONTEXT_TOKENS - 8);
      const { usage, finish } = await whole(request('completion', { prompt, temperature: 0, max_tokens: 100 }));
      expect([usage.total_tokens <= CONTEXT_TOKENS, finish]).toEqual([true, 'length']);
    });

    it.each([
      ['invalid_request', { temperature: 'hot' }],
      ['unsupported_feature', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ])('refuses with %s: %j', async (code, more) => {
      await expect(engine.send(ask('Hello', more), soon())).rejects.toMatchObject({ code });
    });

    it('embeds', async () => {
      const embed = async (body: Record<string, unknown>) => {
        const reply = await engine.send(request('embedding', body), soon());
        return JSON.parse(await bytesOf(reply));
      };
      const floats = await embed({ input: ['a cat', 'a cat', 'stock markets'] });
      expect(floats.data).toHaveLength(3);
      expect(floats.data[0].embedding).toHaveLength(576);
      expect(floats.data[1].embedding).toEqual(floats.data[0].embedding);
      expect(floats.data[2].embedding).not.toEqual(floats.data[0].embedding);
      expect(floats.usage.prompt_tokens).toBeGreaterThan(4);
      const packed = await embed({ input: 'a cat', encoding_format: 'base64' });
      const bytes = Buffer.from(packed.data[0].embedding, 'base64');
      expect(bytes.readFloatLE(0)).toBeCloseTo(floats.data[0].embedding[0], 5);
    });

    it('goes on with a stream while it embeds', async () => {
      const leave = new AbortController();
      const reply = await engine.send(ask('Count to a thousand.', { stream: true, max_tokens: 400 }), leave.signal);
      const stream = reply.bytes[Symbol.asyncIterator]();
      await stream.next();
      let isEmbedding = true;
      const startedMs = performance.now();
      const embedded = engine
        .send(request('embedding', { input: 'word '.repeat(400) }), soon())
        .then(bytesOf)
        .finally(() => {
          isEmbedding = false;
        });
      let gapMsMax = 0;
      for (let lastMs = startedMs; isEmbedding; lastMs = performance.now()) {
        if ((await stream.next()).done) break;
        gapMsMax = Math.max(gapMsMax, performance.now() - lastMs);
      }
      await embedded;
      leave.abort();
      expect(gapMsMax).toBeLessThan((performance.now() - startedMs) / 2);
      await idle(2_000);
    });

    it('publishes its metrics, which grow by what was served', async () => {
      const before = await engine.metrics(soon());
      const { usage } = await whole(ask('Hello', { max_tokens: 3 }));
      const after = await engine.metrics(soon());
      expect(after).toMatchObject({ running: 0, waiting: 0, kvUsedShare: 0 });
      expect((after.promptTokensTotal ?? 0) - (before.promptTokensTotal ?? 0)).toBe(usage.prompt_tokens);
      expect((after.outputTokensTotal ?? 0) - (before.outputTokensTotal ?? 0)).toBe(usage.completion_tokens);
    });

    it('serves four streams together, each with its own words', async () => {
      const topics = ['rivers', 'bread', 'chess', 'rain'];
      const asked = topics.map((topic) => ask(`One sentence about ${topic}.`, { max_tokens: 16 }, `t-${topic}`));
      let most = 0;
      const watch = setInterval(async () => {
        most = Math.max(most, await running().catch(() => 0));
      }, 50);
      const together = await Promise.all(asked.map(streamed));
      clearInterval(watch);
      expect(most).toBe(4);
      for (const { text, usage } of together) {
        expect(text.length).toBeGreaterThan(0);
        expect(usage.completion_tokens).toBeGreaterThan(0);
      }
      expect(new Set(together.map(({ text }) => text)).size).toBe(4);
    });

    it('serves more requests than it has sequences, one after the other', async () => {
      const answers = await Promise.all(
        Array.from({ length: 7 }, (_, index) => whole(ask(`${index}?`, { max_tokens: 2 }))),
      );
      expect(answers.every(({ usage }) => usage.completion_tokens > 0)).toBe(true);
    });

    it('emits whole characters only', async () => {
      // Hot sampling over emoji and CJK draws single bytes of characters; every chunk has to be well-formed all the same.
      const prompt = '👩‍🚀🎉漢字かな😀🙃한국어';
      const body = { prompt, temperature: 1.2, top_k: 200, max_tokens: 40, stream: true };
      for (const seed of [1, 2]) {
        const reply = await engine.send(request('completion', { ...body, seed }), soon());
        const { text } = answerOfEvents(eventsOf(await bytesOf(reply)));
        expect(text.isWellFormed()).toBe(true);
        const same = await whole(request('completion', { ...body, seed, stream: false }));
        expect(same.text).toBe(text);
      }
    });

    it('fails an open stream when it dies, and is unavailable from then on', async () => {
      const reply = await engine.send(ask('Count to a thousand.', { stream: true, max_tokens: 400 }), soon());
      const stream = reply.bytes[Symbol.asyncIterator]();
      await stream.next();
      await harness.kill();
      await expect(
        (async () => {
          while (!(await stream.next()).done);
        })(),
      ).rejects.toMatchObject({ code: 'engine_failed' });
      await expect(engine.send(ask('Hello'), soon())).rejects.toMatchObject({ code: 'engine_unavailable' });
      expect(await engine.health(soon())).toMatchObject({ ok: false, reason: expect.any(String) });
    });
  });
}
