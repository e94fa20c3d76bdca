import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { CubitError } from '../core/errors.ts';
import type { KeySnapshot } from './snapshot.ts';

/** Keys remembered by what they are, at most; hashing one costs more than the rest of this step. */
const KNOWN_MAX = 10_000;

/** The keys of the snapshot, found by the key itself. What is remembered is forgotten with every new set of keys. */
export class KeyRing {
  #keys: ReadonlyMap<string, KeySnapshot> = new Map();
  readonly #known = new Map<string, KeySnapshot>();

  replace(keys: ReadonlyMap<string, KeySnapshot>): void {
    if (keys === this.#keys) return;
    this.#keys = keys;
    this.#known.clear();
  }

  find(key: string): KeySnapshot | undefined {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const found = this.#keys.get(hash('sha256', key, 'hex'));
    if (found === undefined) return undefined;
    // Only real keys get here, so nobody can fill it with guesses.
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(key, found);
    return found;
  }
}

/** Step 1: whose key is it? `Authorization: Bearer …` or `api-key: …`. Throws `invalid_api_key`. */
export function authenticate(keys: KeyRing, req: IncomingMessage): KeySnapshot {
  const key = presentedKey(req);
  if (key === null) {
    throw new CubitError('invalid_api_key', 'No API key was sent. Send it as "Authorization: Bearer sk-…".');
  }
  const known = keys.find(key);
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
