import type { Random } from '../../workload/random.ts';
import { below, mutatedBytes, ODD, oneOf } from './mutate.ts';

/** One client's doing: what it writes, in which pieces, and how it leaves. */
export interface Plan {
  readonly pieces: readonly Buffer[];
  /** Waits between pieces. */
  readonly pauseMs: number;
  /** Leaves after so long whatever has come. */
  readonly stayMs: number;
  /** Does not read until it leaves. */
  readonly deaf: boolean;
  readonly leave: 'end' | 'destroy' | 'reset';
}

const PATHS = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/api/v3/chat/completions'];
const FIELDS = [
  'model',
  'messages',
  'prompt',
  'input',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'n',
  'stop',
  'seed',
  'logit_bias',
  'user',
  'tools',
  'response_format',
  'kv_transfer_params',
  'cache_salt',
  'unknown',
  '__proto__',
  'constructor',
];
const HEADERS = [
  'x-cubit-max-wait-ms: 20',
  'x-cubit-max-wait-ms: -1',
  'x-cubit-dry-run: true',
  'x-cubit-dry-run: maybe',
  'expect: 100-continue',
  'content-encoding: gzip',
  'connection: close',
  'transfer-encoding: chunked',
  'content-length: 5',
  'x-a: b',
];
const ASKS = ['short', 'a question of some words', 'x'.repeat(3_000), 'long '.repeat(4_000)];

/** A third are sound, a third have odd fields or headers, a third broken bytes. */
export function planOf(random: Random, key: string): Plan {
  const kind = below(random, 3);
  const path = oneOf(random, PATHS);
  const body = soundBody(path, random);
  if (kind === 1) {
    for (let change = below(random, 3); change >= 0; change -= 1) body[oneOf(random, FIELDS)] = oneOf(random, ODD);
  }
  const headers = ['host: x', `authorization: Bearer ${below(random, 20) === 0 ? 'sk-no' : key}`];
  if (below(random, kind === 1 ? 2 : 10) === 0) headers.push(oneOf(random, HEADERS));
  const text = Buffer.from(JSON.stringify(body));
  headers.push(`content-length: ${text.length}`);
  const method = below(random, 30) === 0 ? oneOf(random, ['GET', 'PUT', 'OPTIONS']) : 'POST';
  const whole = Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`), text]);
  const bytes = kind === 2 ? mutatedBytes(whole, random) : whole;
  const cut = below(random, 8) === 0 ? below(random, bytes.length + 1) : 0;
  return {
    pieces: cut === 0 ? [bytes] : [bytes.subarray(0, cut), bytes.subarray(cut)],
    pauseMs: below(random, 10),
    stayMs: below(random, 6) === 0 ? below(random, 30) : kind === 2 ? 250 : 3_000,
    deaf: below(random, 40) === 0,
    leave: oneOf(random, ['end', 'destroy', 'reset'] as const),
  };
}

function soundBody(path: string, random: Random): Record<string, unknown> {
  const model = oneOf(random, ['demo', 'demo', 'demo', 'other', 'nothing']);
  const text = oneOf(random, ASKS);
  if (path.endsWith('embeddings')) return { model, input: below(random, 2) === 0 ? text : [text, 'y'] };
  const stream = below(random, 3) > 0;
  const limits = below(random, 2) === 0 ? {} : { max_tokens: 1 + below(random, 100) };
  const more = { stream, ...limits, ...(below(random, 4) === 0 && { stream_options: { include_usage: true } }) };
  if (path === '/v1/completions') return { model, prompt: text, ...more };
  return { model, messages: [{ role: 'user', content: text }], ...more };
}
