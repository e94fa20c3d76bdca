import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { CubitError } from '../core/errors.ts';
import type { GatewaySnapshot, KeySnapshot } from './snapshot.ts';

/** Step 1: whose key is it? `Authorization: Bearer …` or `api-key: …`. Throws `invalid_api_key`. */
export function authenticate(snapshot: GatewaySnapshot, req: IncomingMessage): KeySnapshot {
  const key = presentedKey(req);
  if (key === null) {
    throw new CubitError('invalid_api_key', 'No API key was sent. Send it as "Authorization: Bearer sk-…".');
  }
  const known = snapshot.keys.get(hash('sha256', key, 'hex'));
  if (known === undefined) {
    throw new CubitError(
      'invalid_api_key',
      'This API key is not known, was revoked, or its role may not call endpoints. Check it, or create another.',
    );
  }
  return known;
}

function presentedKey(req: IncomingMessage): string | null {
  const { authorization } = req.headers;
  if (authorization !== undefined && authorization.slice(0, 7).toLowerCase() === 'bearer ') {
    return authorization.slice(7).trim() || null;
  }
  const apiKey = req.headers['api-key'];
  return typeof apiKey === 'string' && apiKey !== '' ? apiKey : null;
}
