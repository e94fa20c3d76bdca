import { isUtf8 } from 'node:buffer';
import { CubitError } from '../core/errors.ts';
import type { Exchange } from './exchange.ts';
import type { GatewayLimits } from './limits.ts';
import type { State } from './state.ts';

export type Body = Readonly<Record<string, unknown>>;

export interface Parsed {
  /** Fields with an explicit null are absent: some SDKs send every unset field as one. */
  readonly body: Body;
  readonly model: string;
  readonly bytes: number;
  /** From `x-cubit-max-wait-ms`; null when it does not say. */
  readonly waitMs: number | null;
  readonly dryRun: boolean;
}

/**
 * Step 2: the body as an object that names a model. Throws `body_too_large`, `body_timeout`, `invalid_json`,
 * `invalid_request`, `capacity_exhausted`, `client_closed`.
 */
export async function parse(state: State, exchange: Exchange): Promise<Parsed> {
  const { headers } = exchange.req;
  const waitMs = parseWait(headers['x-cubit-max-wait-ms'], state.limits.waitMsMax);
  const dryRun = parseFlag('x-cubit-dry-run', headers['x-cubit-dry-run']);
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw invalid('content-encoding', 'Send the body uncompressed, without Content-Encoding.');
  }
  const bytes = await readBody(state, exchange);
  const body = toObject(bytes);
  const model = body['model'];
  if (typeof model !== 'string' || model === '') {
    throw invalid('model', '"model" has to be the name or the id of one of your endpoints.');
  }
  return { body, model, bytes: bytes.length, waitMs, dryRun };
}

function readBody(state: State, exchange: Exchange): Promise<Buffer> {
  const { req } = exchange;
  const { limits } = state;
  return new Promise((resolve, reject) => {
    if (Number(req.headers['content-length'] ?? 0) > limits.bodyBytesMax) return reject(tooLarge(limits));
    const chunks: Buffer[] = [];
    const fail = (error: CubitError) => {
      over();
      req.off('data', onData).off('end', onEnd);
      reject(error);
    };
    const over = () => {
      clearTimeout(timer);
      exchange.onCut(null);
    };
    const onData = (chunk: Buffer) => {
      exchange.bodyBytes += chunk.length;
      state.bodyBytes += chunk.length;
      if (exchange.bodyBytes > limits.bodyBytesMax) fail(tooLarge(limits));
      else if (state.bodyBytes > limits.bodiesBytesMax) fail(tooMany(limits));
      else chunks.push(chunk);
    };
    const onEnd = () => {
      over();
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    };
    const timer = setTimeout(() => fail(tooSlow(limits)), limits.bodyMsMax);
    req.on('data', onData).on('end', onEnd);
    exchange.onCut(fail);
  });
}

function toObject(bytes: Buffer): Body {
  if (!isUtf8(bytes)) throw new CubitError('invalid_json', 'The body is not valid UTF-8.');
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    // The parser's own error quotes the body.
    throw new CubitError('invalid_json', 'The body is not valid JSON.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CubitError('invalid_request', 'The body has to be a JSON object.');
  }
  const body = value as Record<string, unknown>;
  for (const name of Object.keys(body)) if (body[name] === null) delete body[name];
  return body;
}

function parseWait(header: string | string[] | undefined, waitMsMax: number): number | null {
  if (header === undefined) return null;
  const value = typeof header === 'string' && header.trim() !== '' ? Number(header) : Number.NaN;
  if (Number.isInteger(value) && value >= 0 && value <= waitMsMax) return value;
  throw invalid('x-cubit-max-wait-ms', `x-cubit-max-wait-ms has to be whole milliseconds from 0 to ${waitMsMax}.`);
}

function parseFlag(name: string, header: string | string[] | undefined): boolean {
  if (header === undefined || header === 'false') return false;
  if (header === 'true') return true;
  throw invalid(name, `${name} has to be "true" or "false".`);
}

function invalid(param: string, message: string): CubitError {
  return new CubitError('invalid_request', message, { details: { param } });
}

function tooLarge(limits: GatewayLimits): CubitError {
  return new CubitError('body_too_large', `The body is larger than ${limits.bodyBytesMax} bytes. Send less.`);
}

function tooMany(limits: GatewayLimits): CubitError {
  const message = `The requests under way hold ${limits.bodiesBytesMax} bytes, which is all this gateway takes. Retry.`;
  return new CubitError('capacity_exhausted', message, { details: { retryAfterMs: 1_000 } });
}

function tooSlow(limits: GatewayLimits): CubitError {
  return new CubitError('body_timeout', `The body did not arrive within ${limits.bodyMsMax} ms. Send it again.`);
}
