import type { Kysely } from 'kysely';
import { request } from 'undici';
import { CubitError } from '../../core/errors.ts';
import { RECEIPTS_PATH } from '../../gateway/feed/wire.ts';
import { insertLines } from '../../store/receipts.ts';
import type { Database } from '../../store/schema.ts';
import { isUnwritable } from '../../store/storage-error.ts';

const ANSWER_MS_MAX = 30_000;

/** The control plane's end: stores what a gateway shipped, each once by its id. Throws `invalid_request` for what no table takes. */
export async function storeShipped(db: Kysely<Database>, lines: readonly string[]): Promise<void> {
  try {
    await insertLines(db, lines);
  } catch (cause) {
    if (!isUnwritable(cause) && !(cause instanceof SyntaxError)) throw cause;
    throw new CubitError('invalid_request', 'One of these receipts cannot be stored.', { cause });
  }
}

/** The gateway's end, for `receiptShipper`. Sent again after a lost answer it changes nothing. */
export function shipTo(url: string, token: string): (lines: readonly string[]) => Promise<void> {
  return async (lines) => {
    const { statusCode, body } = await request(url + RECEIPTS_PATH, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ lines }),
      headersTimeout: ANSWER_MS_MAX,
      bodyTimeout: ANSWER_MS_MAX,
    });
    const text = await body.text();
    if (statusCode === 200) return;
    // Halved by the shipper until the one that cannot be stored stands alone.
    if (statusCode === 400) throw new TypeError(text.slice(0, 300));
    throw new CubitError('engine_unavailable', `The control plane answers ${statusCode}: ${text.slice(0, 300)}`);
  };
}
