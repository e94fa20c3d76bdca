import { CubitError } from '../core/errors.ts';
import type { Exchange } from './exchange.ts';
import type { Body } from './parse.ts';
import { isFields } from './usage.ts';

const CHARS_MAX = 256;

/**
 * The conversation a request belongs to, which stays with one served model: the header `x-cubit-session`, else
 * `metadata.conversation`. Not `user`: one user has many conversations. null: it does not say. Throws `invalid_request`.
 */
export function sessionOf({ req }: Exchange, body: Body): string | null {
  const header = req.headers['x-cubit-session'];
  if (header !== undefined) return checked(header, 'x-cubit-session');
  const { metadata } = body;
  const named = isFields(metadata) ? metadata['conversation'] : undefined;
  return named === undefined || named === null ? null : checked(named, 'metadata');
}

function checked(value: unknown, param: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= CHARS_MAX) return value;
  const what = param === 'metadata' ? 'metadata.conversation' : param;
  throw new CubitError('invalid_request', `${what} has to be a string of 1 to ${CHARS_MAX} characters.`, {
    details: { param },
  });
}
