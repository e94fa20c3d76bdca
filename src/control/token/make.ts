import { makeSecret, TOKEN_PREFIX } from '../secret.ts';
import type { Ctx, Trx } from '../verb.ts';
import { DAYS_DEFAULT, tokenView } from './schemas.ts';

const DAY_MS = 86_400_000;

/** A token for a member; only its hash is stored. */
export async function makeToken(
  trx: Trx,
  ctx: Pick<Ctx, 'newId' | 'newSecret' | 'now'>,
  { memberId, name, days = DAYS_DEFAULT }: { memberId: string; name: string; days?: number },
) {
  const { secret, hash, hint } = makeSecret(ctx, TOKEN_PREFIX);
  const nowMs = ctx.now();
  const row = {
    id: ctx.newId('accessToken'),
    member_id: memberId,
    name,
    hash,
    hint,
    created_at_ms: nowMs,
    expires_at_ms: nowMs + days * DAY_MS,
    revoked_at_ms: null,
  };
  await trx.insertInto('access_tokens').values(row).execute();
  return { token: tokenView(row), secret };
}
