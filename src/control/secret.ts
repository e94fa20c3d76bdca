import { sha256Hex } from './operator-token.ts';
import type { Ctx } from './verb.ts';

/** What each kind of secret begins with, so that one is known at sight, by a scanner of leaked secrets too. */
export const KEY_PREFIX = 'sk-cubit-';
export const TOKEN_PREFIX = 'pt-cubit-';
export const INVITATION_PREFIX = 'inv-cubit-';

const HINT_SIGNS = 4;

/** A new secret, to be shown once: `hash` is what is stored, `hint` (its first signs) tells one from another. */
export function makeSecret(ctx: Pick<Ctx, 'newSecret'>, prefix: string) {
  const secret = `${prefix}${ctx.newSecret()}`;
  return { secret, hash: sha256Hex(secret), hint: secret.slice(0, prefix.length + HINT_SIGNS) };
}
