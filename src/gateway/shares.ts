import type { Share } from '../core/serving/shares.ts';
import type { KeySnapshot, ServedModelSnapshot } from './snapshot.ts';

/** Whose a request is, for its turn: its key's share; on a pool of several tenants first its tenant, all alike. */
export function sharesOf(served: ServedModelSnapshot, key: KeySnapshot): readonly Share[] {
  const own = key.share ?? { id: key.keyId, weight: 1 };
  return served.shared === true ? [{ id: key.tenantId, weight: 1 }, own] : [own];
}
