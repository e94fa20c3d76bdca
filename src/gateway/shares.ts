import type { Share } from '../core/serving/shares.ts';
import type { KeySnapshot, ServedModelSnapshot } from './snapshot.ts';

/** Whose a request is, for its turn: its key's share; on a pool of several tenants first its tenant, all alike. */
export function sharesOf(served: ServedModelSnapshot, key: KeySnapshot): readonly Share[] {
  const outer = outerShareOf(served, key);
  return served.shared === true ? [outer, ownShareOf(key)] : [outer];
}

/** Whose places it takes. */
export function outerShareOf(served: ServedModelSnapshot, key: KeySnapshot): Share {
  return served.shared === true ? { id: key.tenantId, weight: 1 } : ownShareOf(key);
}

function ownShareOf(key: KeySnapshot): Share {
  return key.share ?? { id: key.keyId, weight: 1 };
}
