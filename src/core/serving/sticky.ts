/** One of those that a session may stay with. */
export interface Weighted {
  readonly id: string;
  /** Share; 0 = never chosen. */
  readonly weight: number;
}

/**
 * Which of them a session stays with: weighted rendezvous hashing, the largest of −weight ÷ ln(u), u uniform in (0, 1) by
 * session and id (Schindelhauer and Schomaker 2005, "Weighted distributed hash tables"). Shares come out as the
 * weights, the order does not matter, and when weights change only sessions of one that lost share move to one that
 * gained. undefined when all weights are 0.
 */
export function stickyChoice(session: string, among: readonly Weighted[]): string | undefined {
  let best: string | undefined;
  let bestScore = 0;
  for (const { id, weight } of among) {
    if (weight <= 0) continue;
    const score = -weight / Math.log(uniformOf(`${session}\0${id}`));
    if (score > bestScore) {
      best = id;
      bestScore = score;
    }
  }
  return best;
}

/** (0, 1) from 32 bits: FNV-1a over the UTF-16 units, then Murmur3's finaliser to spread what is alike at the end. */
function uniformOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}
