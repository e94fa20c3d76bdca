import type { ServerResponse } from 'node:http';
import { CubitError, toCubitError } from '../../core/errors.ts';
import type { FinishReason, Generation, GenerationEvents } from './generation.ts';
import { errorBody, sendError, sendJson } from './http.ts';
import type { GenerationBody } from './request.ts';
import { type AnswerHead, answerJson, chunkEvent, DONE_EVENT, errorEvent, usageEvent } from './wire.ts';

/** A reader that takes nothing for this long gives up its sequence. */
export const STALLED_MS_MAX = 120_000;

/** What an answer needs of the scheduler. */
export interface Flow {
  setPaused(generation: Generation, paused: boolean): void;
}

/** Collects a generation's text and sends it as one document. `generation` is read at the end, for its usage. */
export function wholeAnswer(
  response: ServerResponse,
  head: AnswerHead,
  generation: () => Generation,
): GenerationEvents {
  let all = '';
  let given: { kv_transfer_params?: object } = {};
  return {
    onText: (text) => {
      all += text;
    },
    onGiven: (params) => {
      given = { kv_transfer_params: params };
    },
    onEnd: (finish) => sendJson(response, 200, { ...answerJson(head, all, finish, generation().usage), ...given }),
    onError: (error) => sendError(response, engineError(error)),
  };
}

/**
 * Streams a generation as OpenAI's server-sent events. Nothing is sent before the first token, so that whatever fails
 * until then is answered with a status code. A slow reader pauses its own generation only.
 */
export class StreamedAnswer implements GenerationEvents {
  readonly #response: ServerResponse;
  readonly #head: AnswerHead;
  readonly #body: GenerationBody;
  readonly #generation: () => Generation;
  readonly #flow: Flow;
  #stalled: NodeJS.Timeout | null = null;

  constructor(
    response: ServerResponse,
    head: AnswerHead,
    body: GenerationBody,
    generation: () => Generation,
    flow: Flow,
  ) {
    this.#response = response;
    this.#head = head;
    this.#body = body;
    this.#generation = generation;
    this.#flow = flow;
  }

  onText(text: string): void {
    this.#begin();
    this.#write(chunkEvent(this.#head, { text }, this.#runningUsage()));
  }

  onEnd(finish: FinishReason): void {
    this.#begin();
    this.#write(chunkEvent(this.#head, { finish }, this.#runningUsage()));
    if (this.#body.usageAtEnd) this.#write(usageEvent(this.#head, this.#generation().usage));
    this.#response.end(DONE_EVENT);
  }

  onError(error: unknown): void {
    if (this.#response.headersSent) this.#response.end(errorEvent(errorBody(engineError(error))));
    else sendError(this.#response, engineError(error));
  }

  #begin(): void {
    if (this.#response.headersSent) return;
    this.#response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    this.#response.on('drain', () => this.#resume());
    this.#response.once('close', () => this.#resume());
    if (this.#head.kind === 'chat') this.#write(chunkEvent(this.#head, { role: true }, this.#runningUsage()));
  }

  #runningUsage() {
    return this.#body.usageInEveryChunk ? this.#generation().usage : null;
  }

  #write(data: string): void {
    if (this.#response.destroyed || this.#response.write(data) || this.#stalled !== null) return;
    this.#stalled = setTimeout(() => this.#response.destroy(), STALLED_MS_MAX);
    this.#flow.setPaused(this.#generation(), true);
  }

  #resume(): void {
    if (this.#stalled !== null) clearTimeout(this.#stalled);
    this.#stalled = null;
    this.#flow.setPaused(this.#generation(), false);
  }
}

function engineError(error: unknown): CubitError {
  if (error instanceof CubitError) return error;
  console.error(error instanceof Error ? error.stack : error);
  return new CubitError('engine_failed', 'The engine failed while it worked on this request.', {
    cause: toCubitError(error),
  });
}
