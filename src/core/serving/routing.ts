/**
 * Which replica serves a request: Filter → Scorer → Picker. The score is the work a replica has outstanding plus the
 * prefill it would have to do itself: what it has seen of the prompt's first blocks is taken as cached. Same state,
 * same input → same choice.
 */
export interface Candidate {
  readonly replicaId: string;
  /** Sequences it is decoding. */
  readonly running: number;
  readonly outstandingUs: number;
}

export interface RoutingRequest {
  readonly sequences: number;
  readonly prefillUs: number;
  /** Chained hashes of the prompt's first blocks; the n-th stands for all text up to there. */
  readonly blocks: readonly number[];
}

export interface RoutingOptions {
  /** Sequences one replica decodes together. */
  readonly batchPerReplica: number;
  /** Replicas that have failed this request. */
  readonly excluded: ReadonlySet<string>;
}

const BLOCK_CHARS = 256;
const BLOCKS_MAX = 16;
/** Blocks remembered per replica. */
const REMEMBERED_MAX = 4_096;

/** Hashes (FNV-1a, chained) of the whole blocks at the beginning of a prompt: 16 × 256 characters at most. */
export function prefixBlocks(text: string): number[] {
  const blocks: number[] = [];
  let hash = 0x811c9dc5;
  const end = Math.min(BLOCKS_MAX, Math.floor(text.length / BLOCK_CHARS)) * BLOCK_CHARS;
  for (let at = 0; at < end; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    if ((at + 1) % BLOCK_CHARS === 0) blocks.push(hash >>> 0);
  }
  return blocks;
}

export class Router {
  readonly #seen = new Map<string, Set<number>>();
  #picks = 0;

  /** The replica's id, or null when none may take it. Remembers that its blocks will be cached there. */
  pick(candidates: readonly Candidate[], request: RoutingRequest, options: RoutingOptions): string | null {
    const eligible = candidates.filter((candidate) => isEligible(candidate, request, options));
    const best = this.#lowest(eligible, request);
    if (best === null) return null;
    this.#picks += 1;
    this.#remember(best.replicaId, request.blocks);
    return best.replicaId;
  }

  /** A replica is gone, or has restarted with an empty cache. */
  forget(replicaId: string): void {
    this.#seen.delete(replicaId);
  }

  /** Ties go round: the search begins one further each time. */
  #lowest(eligible: readonly Candidate[], request: RoutingRequest): Candidate | null {
    let best: Candidate | null = null;
    let bestUs = Number.POSITIVE_INFINITY;
    for (let step = 0; step < eligible.length; step += 1) {
      const candidate = eligible[(this.#picks + step) % eligible.length] as Candidate;
      const costUs =
        candidate.outstandingUs + request.prefillUs * (1 - this.#cachedShare(candidate.replicaId, request));
      if (costUs < bestUs) {
        best = candidate;
        bestUs = costUs;
      }
    }
    return best;
  }

  #cachedShare(replicaId: string, request: RoutingRequest): number {
    const seen = this.#seen.get(replicaId);
    if (seen === undefined || request.blocks.length === 0) return 0;
    let matched = 0;
    while (matched < request.blocks.length && seen.has(request.blocks[matched] as number)) matched += 1;
    return matched / request.blocks.length;
  }

  /** A set keeps the order in which it was filled: the oldest blocks are dropped, the last ones first to go. */
  #remember(replicaId: string, blocks: readonly number[]): void {
    if (blocks.length === 0) return;
    const seen = this.#seen.get(replicaId) ?? new Set();
    this.#seen.set(replicaId, seen);
    // From the end, so that the beginning of a prefix outlives its continuation.
    for (const block of blocks.toReversed()) {
      seen.delete(block);
      seen.add(block);
    }
    for (const oldest of seen) {
      if (seen.size <= REMEMBERED_MAX) break;
      seen.delete(oldest);
    }
  }
}

function isEligible(candidate: Candidate, request: RoutingRequest, options: RoutingOptions): boolean {
  if (options.excluded.has(candidate.replicaId)) return false;
  // A batched request larger than a replica's batch still goes to an idle one.
  return candidate.running === 0 || candidate.running + request.sequences <= options.batchPerReplica;
}
