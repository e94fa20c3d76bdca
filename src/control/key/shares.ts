import type { UseLimits } from '../../core/serving/rate-limit.ts';
import type { Share } from '../../core/serving/shares.ts';
import type { KeySnapshot } from '../../gateway/snapshot.ts';
import type { Row } from '../../store/schema.ts';

/** Keys with this label share one turn, whatever their number. */
const SHARE_LABEL = 'share';

type KeyRow = Omit<Row<'api_keys'>, 'name' | 'hint' | 'scope' | 'role' | 'created_at_ms' | 'revoked_at_ms'>;

/** What the gateway knows of keys, by hash. */
export function keySnapshots(keys: readonly KeyRow[]): Map<string, KeySnapshot> {
  const shares = sharesOf(keys);
  return new Map(
    keys.map((key) => {
      const share = shares.get(key.id);
      const limits = limitsOf(key);
      const known = { keyId: key.id, tenantId: key.tenant_id };
      return [key.hash, { ...known, ...(share !== undefined && { share }), ...(limits !== null && { limits }) }];
    }),
  );
}

function limitsOf(key: KeyRow): UseLimits | null {
  const { requests_per_minute, tokens_per_minute, work_us_per_minute, concurrency } = key;
  const limits = [requests_per_minute, tokens_per_minute, work_us_per_minute, concurrency];
  if (limits.every((limit) => limit === null)) return null;
  return {
    requestsPerMinute: requests_per_minute ?? undefined,
    tokensPerMinute: tokens_per_minute ?? undefined,
    workUsPerMinute: work_us_per_minute ?? undefined,
    concurrency: concurrency ?? undefined,
  };
}

/** By key id, of those whose share is not their own of weight 1. A common share has the largest weight of its keys. */
function sharesOf(keys: readonly KeyRow[]): ReadonlyMap<string, Share> {
  const weights = new Map<string, number>();
  const idOf = (key: KeyRow) => {
    const label = (JSON.parse(key.labels_json) as Record<string, string>)[SHARE_LABEL];
    return label === undefined ? key.id : `${key.tenant_id}/${SHARE_LABEL}=${label}`;
  };
  const ids = new Map(keys.map((key) => [key.id, idOf(key)]));
  for (const key of keys) {
    const id = ids.get(key.id) as string;
    weights.set(id, Math.max(weights.get(id) ?? 0, key.weight));
  }
  const shares = new Map<string, Share>();
  for (const [keyId, id] of ids) {
    const weight = weights.get(id) as number;
    if (id !== keyId || weight !== 1) shares.set(keyId, { id, weight });
  }
  return shares;
}
