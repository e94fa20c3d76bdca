import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RequestRecord } from './record.ts';
import type { RunLimits, Target } from './run.ts';

/** A server for tests: `behave` answers each chat request, given its body. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly bodies: Record<string, unknown>[];
}

export type Behave = (response: ServerResponse, body: Record<string, unknown>, request: IncomingMessage) => unknown;

export async function serve(behave: Behave): Promise<Server> {
  const bodies: Record<string, unknown>[] = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const body = JSON.parse(text) as Record<string, unknown>;
    bodies.push(body);
    await behave(response, body, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export const token = (text: string) =>
  frame({ choices: [{ index: 0, delta: { content: text }, finish_reason: null }] });
export const finish = frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
export const usageOf = (completion_tokens: number, more: object = {}) =>
  frame({ choices: [], usage: { prompt_tokens: 7, completion_tokens, ...more } });
export const DONE = 'data: [DONE]\n\n';

export function frame(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** Sends frames as a stream and ends it. */
export function stream(response: ServerResponse, ...frames: readonly string[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const text of frames) response.write(text);
  response.end();
}

export const target = (url: string, model = 'm'): Target => ({ url, apiKey: 'k', model, headers: {}, extraBody: {} });

export function limits(changes: Partial<RunLimits> = {}): RunLimits {
  return {
    spanMs: 10_000,
    warmUpMs: 0,
    requestsMax: 1000,
    inFlightMax: 100,
    drainMs: 10_000,
    silenceMsMax: 10_000,
    ...changes,
  };
}

/** A request that was answered in time; due at `dueAtMs`. */
export function answered(changes: Partial<RequestRecord> = {}): RequestRecord {
  return {
    index: 0,
    dueAtMs: 0,
    lagMs: 0,
    warmUp: false,
    status: 200,
    error: null,
    ttftMs: 100,
    tpotMs: 10,
    e2eMs: 200,
    promptTokensAsked: 10,
    outputTokensMax: 11,
    promptTokens: 20,
    cachedTokens: 5,
    outputTokens: 11,
    frames: 11,
    usage: 'stated',
    streamed: true,
    done: true,
    retryAfterMs: null,
    estimatedUs: null,
    actualUs: null,
    waitMs: null,
    ...changes,
  };
}
