import { readFileSync } from 'node:fs';
import { loadConfig } from '../config.ts';
import { operatorTokenPath } from '../control/operator-token.ts';
import { CubitError, isErrorCode } from '../core/errors.ts';
import { loginFor } from './logins.ts';

const ANSWER_MS_MAX = 60_000;

export interface ClientOptions {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly data?: string | undefined;
}

/** A caller of the control API. */
export interface Client {
  readonly url: string;
  call(method: string, path: string, body?: unknown, idempotencyKey?: string): Promise<unknown>;
}

/** `--url`, else CUBIT_URL, else this machine's own. */
export function urlOf(options: ClientOptions, env: NodeJS.ProcessEnv = process.env): string {
  const { host, port } = loadConfig({ dataDir: options.data }, env);
  return (options.url ?? env['CUBIT_URL'] ?? `http://${host}:${port}`).replace(/\/$/, '');
}

/**
 * The token is `--token`, else CUBIT_TOKEN, else what `cubit login` keeps for this url, else the operator token in the
 * data folder; with `anyone` none is sent.
 */
export function createClient(
  options: ClientOptions & { readonly anyone?: boolean },
  env: NodeJS.ProcessEnv = process.env,
): Client {
  const url = urlOf(options, env);
  const authorization = options.anyone === true ? {} : { authorization: `Bearer ${tokenFor(url, options, env)}` };
  return {
    url,
    call: async (method, path, body, idempotencyKey) => {
      const headers: Record<string, string> = { ...authorization };
      if (body !== undefined) headers['content-type'] = 'application/json';
      if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
      const init: RequestInit = { method, headers, signal: AbortSignal.timeout(ANSWER_MS_MAX) };
      if (body !== undefined) init.body = JSON.stringify(body);
      try {
        const reply = await fetch(`${url}/api/v1${path}`, init);
        const text = await reply.text();
        const filename = fileOf(reply);
        const value = filename === null ? parse(text, url) : { filename, body: text };
        if (reply.ok) return value;
        throw errorOf(value, reply.status);
      } catch (error) {
        throw error instanceof CubitError ? error : noAnswer(url, error);
      }
    },
  };
}

function tokenFor(url: string, options: ClientOptions, env: NodeJS.ProcessEnv): string {
  const said = options.token ?? env['CUBIT_TOKEN'];
  return said ?? loginFor(url, env) ?? ownToken(loadConfig({ dataDir: options.data }, env).dataDir);
}

/** The name of a file that is sent instead of JSON, or null. */
function fileOf(reply: Response): string | null {
  return /^attachment; filename="([\w.-]+)"$/.exec(reply.headers.get('content-disposition') ?? '')?.[1] ?? null;
}

function noAnswer(url: string, error: unknown): CubitError {
  const late = (error as Error).name === 'TimeoutError';
  const message = late
    ? `The Cubit at ${url} did not answer within ${ANSWER_MS_MAX / 1000} s. Whether it did what you asked is not known.`
    : `No Cubit answers at ${url}. Start one with \`npm start\`, or say where it is with --url.`;
  return new CubitError(late ? 'engine_timeout' : 'engine_unavailable', message, { cause: error });
}

function ownToken(dataDir: string): string {
  const path = operatorTokenPath(dataDir);
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new CubitError(
      'invalid_api_key',
      `There is no operator token at ${path}. Start Cubit once with \`npm start\`, \`cubit login\`, or give --token (or CUBIT_TOKEN).`,
      { cause: error },
    );
  }
}

function parse(text: string, url: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CubitError('internal', `What answers at ${url} is not Cubit: it did not send JSON.`, { cause: error });
  }
}

function errorOf(value: unknown, status: number): CubitError {
  const problem = (value as { error?: { code?: string; message?: string; details?: Record<string, unknown> } })?.error;
  const code = problem?.code !== undefined && isErrorCode(problem.code) ? problem.code : 'internal';
  return new CubitError(code, problem?.message ?? `The server answered ${status}.`, {
    details: problem?.details ?? {},
  });
}
