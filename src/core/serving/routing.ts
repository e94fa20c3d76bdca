import { PrefixIndex } from './prefix-index.ts';

/**
 * Which replica serves a request: Filter → Scorer → Picker. The score of a replica is what the request would cost there,
 * in microseconds, lowest best:
 *
 *     own uncached prefill + α·prefill ahead + γ·decode ahead + β·(work assigned − mean)
 *
 * With α = 1 this request gets its first token soonest, but prefixes are copied to every idle replica and drive others
 * out; so α falls as the caches fill. Same state, same input → same choice.
 */
export interface Candidate {
  readonly replicaId: string;
  /** Sequences it is decoding. */
  readonly running: number;
  /** All work sent there that has not ended. */
  readonly outstandingUs: number;
  /** The prefill in it of requests that have no first token yet. */
  readonly prefillAheadUs: number;
  /** LoRA adapters that are loaded there, and whether one can be without waiting for a request that uses another. */
  readonly adapters?: { has(adapterId: string): boolean; canTake?(adapterId: string): boolean };
}

export interface RoutingRequest {
  readonly sequences: number;
  /** Nothing of the prompt cached. */
  readonly prefillUs: number;
  readonly decodeUs: number;
  /** Chained hashes of the prompt's first blocks; the n-th stands for all text up to there. */
  readonly blocks: readonly number[];
  /** Where each block ends, when they are not all of one size. */
  readonly blockEnds?: readonly number[];
  /** By replica, the share of the prompt that is cached there, where its engine itself says so: goes before `blocks`. */
  readonly exactShares?: ReadonlyMap<string, number>;
  readonly adapterId?: string;
  /** What loading it takes, as learned; the router's setting unless said. */
  readonly adapterLoadUs?: number;
}

export interface RoutingOptions {
  /** Sequences one replica decodes together. */
  readonly batchPerReplica: number;
  /** Replicas that have failed this request. */
  readonly excluded: ReadonlySet<string>;
}

export interface RouterSettings {
  /** Weight of the prefill ahead while caches have room, and when they are full. */
  readonly alphaEmpty: number;
  readonly alphaFull: number;
  readonly beta: number;
  readonly gamma: number;
  /** A replica with more than so many times the mean outstanding work is passed over. */
  readonly loadBound: number;
  /** What loading an adapter costs. */
  readonly adapterLoadUs: number;
  /** Remembered per replica. */
  readonly blocksMax: number;
}

/** Chosen on Mooncake's conversation trace (docs/simulator.md has the trade-off); the same for all traffic. */
export const ROUTER_SETTINGS: RouterSettings = {
  alphaEmpty: 0.1,
  alphaFull: 0.02,
  beta: 0.001,
  gamma: 0.003,
  loadBound: 100,
  adapterLoadUs: 500_000,
  blocksMax: 4_096,
};

export interface Pick {
  readonly replicaId: string;
  /** Of the request's blocks, those that are likely cached there. */
  readonly cachedShare: number;
}

const BLOCK_BYTES = 256;
const EVEN_BYTES = 4_096;
const PREFIX_BYTES_MAX = 512 * 1024;
/**
 * Where the blocks of a prompt end, in bytes: every 256 at its beginning, where system prompts differ, then each time an
 * eighth further, so that a conversation of 400 KB is told from its neighbours at some 50 places instead of 1,600.
 */
export const PREFIX_ENDS: readonly number[] = prefixEnds();
/** The memory of assigned work: after so many picks an old one weighs 1/e of a new one. */
const ASSIGNED_WINDOW = 20_000;
const GRAIN_MAX = 1e9;

function prefixEnds(): number[] {
  const ends: number[] = [];
  let end = 0;
  while (end < PREFIX_BYTES_MAX) {
    // Whole words are hashed.
    end = end < EVEN_BYTES ? end + BLOCK_BYTES : Math.min(PREFIX_BYTES_MAX, end + Math.ceil(end / 32) * 4);
    ends.push(end);
  }
  return ends;
}

/** Chained hashes of a prompt up to each of `PREFIX_ENDS` that it reaches; the mixing is MurmurHash3's (x86, 32 bits). */
export function prefixBlocks(prompt: Uint8Array): number[] {
  const words = new DataView(prompt.buffer, prompt.byteOffset, prompt.byteLength);
  const blocks: number[] = [];
  let hash = 0;
  let at = 0;
  for (const end of PREFIX_ENDS) {
    if (end > prompt.length) break;
    for (; at < end; at += 4) {
      let word = Math.imul(words.getUint32(at, true), 0xcc9e2d51);
      word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
      hash ^= word;
      hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
    }
    blocks.push(hash >>> 0);
  }
  return blocks;
}

export class Router {
  readonly #settings: RouterSettings;
  readonly #index: PrefixIndex;
  /** By replica, work sent there, old work fading; new work weighs `#grain`. */
  readonly #assigned = new Map<string, number>();
  #grain = 1;
  #picks = 0;

  constructor(settings: Partial<RouterSettings> = {}) {
    this.#settings = { ...ROUTER_SETTINGS, ...settings };
    this.#index = new PrefixIndex(this.#settings.blocksMax);
  }

  /** null when none may take it. Remembers that the request's blocks will be cached where it goes. */
  pick(candidates: readonly Candidate[], request: RoutingRequest, options: RoutingOptions): Pick | null {
    const matches = this.#index.matches(request.blocks);
    const shareOf = ({ replicaId }: Candidate) =>
      request.exactShares?.get(replicaId) ?? shareOfBlocks(matches.get(replicaId) ?? 0, request);
    const eligible = filter(candidates, request, options, this.#settings.loadBound);
    const best = this.#pickLowest(eligible, request, shareOf);
    if (best === null) return null;
    const cachedShare = shareOf(best);
    this.#picks += 1;
    this.#index.remember(best.replicaId, request.blocks);
    this.#assign(best.replicaId, request.prefillUs * (1 - cachedShare) + request.decodeUs);
    return { replicaId: best.replicaId, cachedShare };
  }

  /** A replica's engine has given up cached blocks, and holds so many characters of prompts now. */
  evicted(replicaId: string, heldChars: number): void {
    // No block is smaller.
    this.#index.shrink(replicaId, Math.floor(heldChars / BLOCK_BYTES));
  }

  /** A replica is gone, or has restarted with an empty cache. */
  forget(replicaId: string): void {
    this.#index.forget(replicaId);
    this.#assigned.delete(replicaId);
  }

  /** Picker: the lowest score. Ties go round: the search begins one further each time. */
  #pickLowest(
    eligible: readonly Candidate[],
    request: RoutingRequest,
    shareOf: (candidate: Candidate) => number,
  ): Candidate | null {
    const meanUs = this.#meanAssignedUs(eligible);
    let best: Candidate | null = null;
    let bestUs = Number.POSITIVE_INFINITY;
    let place = eligible.length === 0 ? 0 : this.#picks % eligible.length;
    for (let step = 0; step < eligible.length; step += 1) {
      const candidate = eligible[place] as Candidate;
      place = place + 1 === eligible.length ? 0 : place + 1;
      const costUs = this.#scoreUs(candidate, request, shareOf(candidate), meanUs);
      if (costUs >= bestUs) continue;
      best = candidate;
      bestUs = costUs;
    }
    return best;
  }

  /** Scorer: what the request would cost there, microseconds. */
  #scoreUs(candidate: Candidate, request: RoutingRequest, cachedShare: number, meanUs: number): number {
    const { adapterLoadUs, alphaEmpty, alphaFull, beta, gamma } = this.#settings;
    const { outstandingUs, prefillAheadUs, replicaId } = candidate;
    const alpha = alphaEmpty + (alphaFull - alphaEmpty) * this.#index.fillOf(replicaId);
    const assignedUs = (this.#assigned.get(replicaId) ?? meanUs) / this.#grain;
    return (
      request.prefillUs * (1 - cachedShare) +
      alpha * prefillAheadUs +
      gamma * (outstandingUs - prefillAheadUs) +
      beta * (assignedUs - meanUs / this.#grain) +
      (lacksAdapter(candidate, request) ? (request.adapterLoadUs ?? adapterLoadUs) : 0)
    );
  }

  /** Whoever is new counts as average, so that it is not flooded. */
  #meanAssignedUs(eligible: readonly Candidate[]): number {
    let sum = 0;
    let known = 0;
    for (const { replicaId } of eligible) {
      const us = this.#assigned.get(replicaId);
      if (us === undefined) continue;
      sum += us;
      known += 1;
    }
    const mean = known === 0 ? 0 : sum / known;
    if (known < eligible.length) {
      for (const { replicaId } of eligible) if (!this.#assigned.has(replicaId)) this.#assigned.set(replicaId, mean);
    }
    return mean;
  }

  #assign(replicaId: string, workUs: number): void {
    this.#grain *= 1 + 1 / ASSIGNED_WINDOW;
    this.#assigned.set(replicaId, (this.#assigned.get(replicaId) ?? 0) + workUs * this.#grain);
    if (this.#grain < GRAIN_MAX) return;
    for (const [id, us] of this.#assigned) this.#assigned.set(id, us / this.#grain);
    this.#grain = 1;
  }
}

/** Which decode machine takes over from prefill: the one with the largest share of its KV cache free; ties: the first. */
export function mostHeadroom<T extends { readonly kvTokensReserved: number; readonly kvTokens: number }>(
  machines: readonly T[],
): T | null {
  let best: T | null = null;
  let bestShare = Number.POSITIVE_INFINITY;
  for (const machine of machines) {
    const share = machine.kvTokensReserved / machine.kvTokens;
    if (share >= bestShare) continue;
    best = machine;
    bestShare = share;
  }
  return best;
}

/** Of the blocks' text, the share that the first `matched` of them cover. */
function shareOfBlocks(matched: number, { blocks, blockEnds }: RoutingRequest): number {
  if (matched === 0) return 0;
  if (blockEnds === undefined) return matched / blocks.length;
  return (blockEnds[matched - 1] as number) / (blockEnds[blocks.length - 1] as number);
}

/** Filter: not excluded, not full (an idle one takes any batch), with room for the adapter, not loaded far beyond the others. */
function filter(
  candidates: readonly Candidate[],
  request: RoutingRequest,
  { batchPerReplica, excluded }: RoutingOptions,
  loadBound: number,
): readonly Candidate[] {
  const able = candidates.filter(
    ({ replicaId, running }) =>
      !(excluded.size > 0 && excluded.has(replicaId)) &&
      (running === 0 || running + request.sequences <= batchPerReplica),
  );
  const { adapterId } = request;
  // Where all that are loaded are in use, a request for another would wait for one of them to end.
  const roomy =
    adapterId === undefined ? able : able.filter(({ adapters }) => adapters?.canTake?.(adapterId) !== false);
  const open = roomy.length > 0 ? roomy : able;
  if (open.length < 2) return open;
  let sumUs = 0;
  for (const { outstandingUs } of open) sumUs += outstandingUs;
  const boundUs = (loadBound * sumUs) / open.length + request.prefillUs + request.decodeUs;
  return open.filter(({ outstandingUs }) => outstandingUs <= boundUs);
}

function lacksAdapter({ adapters }: Candidate, { adapterId }: RoutingRequest): boolean {
  return adapterId !== undefined && adapters?.has(adapterId) !== true;
}
