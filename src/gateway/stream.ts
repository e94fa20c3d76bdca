import { setTimeout as sleep } from 'node:timers/promises';
import { CubitError } from '../core/errors.ts';
import type { EngineReply } from '../engine/port.ts';
import { account, type Delivery, drained, receiptHeaders, receiptOf } from './delivery.ts';
import { workOfAll } from './estimate.ts';
import { EventStream } from './event-stream.ts';
import { DONE_FRAME, FrameSplitter, frameOf, jsonOf, kindOf } from './sse.ts';
import { finishReasonOf, hasContent, isFields, statedUsage, usageFrom, usageOf } from './usage.ts';
import type { Watchdog } from './watchdog.ts';

/** Held back before the first token, at most; an engine that sends more than this without a token has failed. */
const OPENING_BYTES_MAX = 256 * 1024;
const SILENT = 'The engine went silent in the middle of its answer.';

/**
 * Step 7 for streams: passes the engine's bytes on, frame by frame. Nothing is written before the first token or finish
 * reason, so that a replica that answers 200 with an empty stream can still be replaced. Throws `engine_failed` on an
 * error event, garbage, an end without content or in the middle, `engine_timeout` when the engine goes silent.
 */
export async function streamReply(delivery: Delivery, reply: EngineReply, watchdog: Watchdog): Promise<void> {
  if (!reply.stream) throw new CubitError('engine_failed', 'The engine did not answer with a stream.');
  const reader = new StreamReader(delivery, watchdog);
  const splitter = new FrameSplitter(delivery.limits.frameBytesMax);
  const parts = reply.bytes[Symbol.asyncIterator]();
  try {
    while (!reader.done) {
      const part = await parts.next();
      if (watchdog.aborted) throw watchdog.reason;
      if (part.done) break;
      if (reader.read(splitter.push(part.value))) continue;
      // The engine is read no faster than the client reads.
      watchdog.armForClient(delivery.limits.clientStallMsMax);
      await drained(delivery.exchange.res, watchdog);
      watchdog.arm(delivery.limits.chunkMsMax, SILENT);
    }
    const rest = reader.done ? null : splitter.end();
    if (rest !== null) reader.read([rest]);
    reader.end();
  } finally {
    void release(parts, reader.done);
  }
}

/** What an engine may still take to close its stream after `[DONE]`. */
const CLOSE_MS_MAX = 1_000;

/** Lets a whole stream come to its end, which keeps the engine's connection for the next request; any other is dropped. */
async function release(parts: AsyncIterator<Uint8Array>, whole: boolean): Promise<void> {
  try {
    if (whole) await Promise.race([parts.next(), sleep(CLOSE_MS_MAX, undefined, { ref: false })]);
    await parts.return?.();
  } catch {
    // The answer is delivered, or its failure is told already.
  }
}

class StreamReader {
  /** `[DONE]` came. */
  done = false;
  readonly #delivery: Delivery;
  readonly #watchdog: Watchdog;
  #out: Buffer[] = [];
  #openingBytes = 0;
  #started = false;
  #keepsUp = true;
  #outputTokens = 0;
  #reservedTokens: number;
  /** The chunk with the finish reason: held until the end, where it carries the receipt. */
  #held: Record<string, unknown> | null = null;
  #finished = false;
  /** The usage chunk, or any other that states usage. */
  #usage: Record<string, unknown> | null = null;
  #last: Buffer | null = null;

  constructor(delivery: Delivery, watchdog: Watchdog) {
    this.#delivery = delivery;
    this.#watchdog = watchdog;
    this.#reservedTokens = delivery.estimated.tokens.outputTokens;
  }

  /** False when the client does not keep up. */
  read(frames: readonly Buffer[]): boolean {
    const tokensBefore = this.#outputTokens;
    this.#keepsUp = true;
    try {
      for (const frame of frames) {
        if (this.done) break;
        this.#take(frame);
      }
    } finally {
      const { exchange, monotonicMs } = this.#delivery;
      if (this.#outputTokens > tokensBefore) exchange.lastTokenMs = monotonicMs();
      // What came before a failure is still delivered.
      if (this.#started) this.#flush();
    }
    return this.#keepsUp;
  }

  /** The engine's stream is over. */
  end(): void {
    if (!this.#started) {
      throw new CubitError('engine_failed', 'The engine answered with a stream that has no content.');
    }
    if (!this.done && !this.#finished) {
      throw new CubitError('engine_failed', 'The engine stopped in the middle of its answer.');
    }
    const { exchange, estimated, includeUsage } = this.#delivery;
    // Some engines say that they are done, but not why.
    if (!this.#finished) exchange.cause = 'complete';
    const stated = this.#usage === null ? null : usageOf(this.#usage);
    const counted = { ...estimated.tokens, outputTokens: this.#outputTokens };
    account(this.#delivery, stated ?? counted, stated !== null);
    if (includeUsage) this.#releaseHeld();
    this.#out.push(frameOf(this.#lastChunk()), DONE_FRAME);
    this.#watchdog.stop();
    exchange.stream?.end(this.#out);
  }

  /** The chunk with the receipt; see `receiptOf`. */
  #lastChunk(): Record<string, unknown> {
    const { exchange, includeUsage } = this.#delivery;
    const usage = { ...this.#statedUsage(), cubit: receiptOf(this.#delivery) };
    if (!includeUsage && this.#held !== null) return { ...this.#held, usage };
    const base = this.#usage ?? (this.#last === null ? {} : jsonOf(this.#last));
    if (includeUsage) return { ...base, choices: [], usage };
    // The engine ended without a finish reason: an empty choice, since every chunk has to have one.
    const empty = exchange.kind === 'chat' ? { delta: {} } : { text: '' };
    return { ...base, choices: [{ index: 0, ...empty, finish_reason: null }], usage };
  }

  #take(frame: Buffer): void {
    const kind = kindOf(frame);
    if (kind === 'content') this.#content(frame);
    else if (kind === 'finish') this.#finish(frame);
    else if (kind === 'usage') this.#stated(jsonOf(frame));
    else if (kind === 'done') this.done = true;
    else if (kind === 'other') this.#other(frame);
    else if (this.#started) this.#out.push(frame);
  }

  #content(frame: Buffer): void {
    if (this.#started) {
      this.#releaseHeld();
      this.#outputTokens += 1;
      this.#last = frame;
      this.#out.push(frame);
      return;
    }
    // Few frames: a role, then the first token, which is looked at closely because TTFT ends there.
    this.#openingBytes += frame.length;
    if (this.#openingBytes > OPENING_BYTES_MAX) {
      throw new CubitError('engine_failed', 'The engine sends events without any content.');
    }
    this.#out.push(frame);
    if (hasContent(jsonOf(frame))) this.#start(1);
  }

  #finish(frame: Buffer): void {
    const chunk = jsonOf(frame);
    if (!this.#started) this.#start(hasContent(chunk) ? 1 : 0);
    else if (hasContent(chunk)) this.#outputTokens += 1;
    this.#releaseHeld();
    this.#finished = true;
    this.#delivery.exchange.cause = finishReasonOf(chunk) ?? 'stop';
    this.#held = chunk;
    this.#stated(chunk);
  }

  #stated(chunk: Record<string, unknown>): void {
    if (usageOf(chunk) !== null) this.#usage = chunk;
  }

  #other(frame: Buffer): void {
    const event = jsonOf(frame);
    if (event['error'] !== undefined || event['object'] === 'error') {
      const cause = new Error(`error event${labelOf(event['error'] ?? event)}`);
      throw new CubitError('engine_failed', 'The engine failed while it answered.', { cause });
    }
    this.#out.push(frame);
  }

  #start(tokens: number): void {
    this.#started = true;
    this.#outputTokens = tokens;
    const { exchange, estimated, monotonicMs } = this.#delivery;
    if (tokens > 0) exchange.sawFirstToken(monotonicMs());
    exchange.unanswered = false;
    exchange.stream ??= new EventStream(exchange.res, receiptHeaders(exchange, estimated));
  }

  /** Another choice of a batched request goes on after one has finished. */
  #releaseHeld(): void {
    if (this.#held === null) return;
    this.#out.push(frameOf(this.#held));
    this.#held = null;
  }

  /** The answer has outgrown its reservation: more is reserved. */
  #extend(): void {
    const { exchange, served, estimated, keyId } = this.#delivery;
    if (exchange.reservation === null) return;
    // By half of what it was: few extensions however long the answer gets.
    const tokensMax = Math.max(estimated.outputTokensMax, this.#outputTokens);
    const grown = Math.min(tokensMax, Math.ceil(this.#outputTokens * 1.5));
    const { coefficients } = estimated;
    const before = workOfAll(
      coefficients,
      { ...estimated.tokens, outputTokens: this.#reservedTokens },
      estimated.sequences,
    );
    const after = workOfAll(coefficients, { ...estimated.tokens, outputTokens: grown }, estimated.sequences);
    const delta = { prefillUs: 0, decodeUs: after.decodeUs - before.decodeUs };
    served.extend(keyId, exchange.reservation, delta, grown - this.#reservedTokens);
    this.#reservedTokens = grown;
  }

  #statedUsage(): Record<string, unknown> {
    const usage = this.#usage?.['usage'];
    const { exchange } = this.#delivery;
    return isFields(usage) ? statedUsage(usage, exchange) : usageFrom(exchange.tokens);
  }

  /** What was delivered is known at any time, whatever ends the stream. */
  #flush(): void {
    const { exchange, limits } = this.#delivery;
    exchange.streamedTokens = this.#outputTokens;
    if (this.#outputTokens > this.#reservedTokens) this.#extend();
    this.#watchdog.arm(limits.chunkMsMax, SILENT);
    if (this.#out.length === 0) return;
    this.#keepsUp = exchange.stream?.write(this.#out) ?? true;
    this.#out = [];
  }
}

/** Kind and code of an engine's error, for the log; its message may quote the prompt. */
function labelOf(error: unknown): string {
  if (!isFields(error)) return '';
  const labels = [error['type'], error['code']].filter((one) => typeof one === 'string' || typeof one === 'number');
  return labels.map((label) => ` ${String(label).slice(0, 64)}`).join('');
}
