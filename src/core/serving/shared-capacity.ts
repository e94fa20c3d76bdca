/**
 * How several gateways share what one served model may take: the contract bucket, places in the batch, tokens of KV cache.
 * There is one level for all of them. A gateway is granted work in advance, may let in so much without asking, and tells
 * what it let in when it asks again, some ten times a second; what it did not use is then free for all. Always
 *
 *     level + Σ grants ≤ capacity      (but for one request larger than the capacity, when all is empty)
 *
 * so over any time T all together let in at most capacity + units × T, as one bucket would (`bucket.ts`). When there is not
 * enough for all, who was served least for its weight comes first (start-time fair queueing, Goyal, Vin, Chen 1996), and
 * room is kept for it until its next request fits. A gateway's weight is its part of each active key: so keys are served
 * by their weights, on however many gateways they call.
 */
export interface LeaseReport {
  readonly gatewayId: string;
  /** Work let in and not given back since this gateway began, unit-microseconds. */
  readonly spentUs: number;
  /** Of it, what no lease has answered yet: for a coordinator that does not know this gateway (any more). */
  readonly unreportedUs: number;
  /** Work that waits or is expected until the next report; of it, the request that is next. */
  readonly wantUs: number;
  readonly nextUs: number;
  /** The level as this gateway knows it, for a coordinator that lost its memory. */
  readonly levelUs: number;
  /** Who asks for work here and for how much, recently; any unit. */
  readonly keys: Readonly<Record<string, number>>;
  /** Of those keys; one that is absent has 1. */
  readonly keyWeights: Readonly<Record<string, number>>;
  readonly sequences: Held;
  readonly kvTokens: Held;
  /** What all gateways together may take. */
  readonly units: number;
  readonly capacityUs: number;
  readonly sequencesMax: number;
  readonly kvTokensMax: number;
}

/** What is held until a request ends: now, and what waits for it. */
export interface Held {
  readonly used: number;
  readonly want: number;
}

export interface Lease {
  /** Work that may be let in until the next report. */
  readonly grantUs: number;
  /** Of the one bucket. */
  readonly levelUs: number;
  /** Sequences and KV tokens that this gateway may hold. */
  readonly sequences: number;
  readonly kvTokens: number;
  /** For each of this gateway's keys, its part here: 1 when it calls no other gateway. */
  readonly weights: Readonly<Record<string, number>>;
}

interface Member {
  atMs: number;
  spentUs: number;
  grantUs: number;
  wantUs: number;
  servedUs: number;
  keys: Readonly<Record<string, number>>;
  sequences: Held & { granted: number };
  kvTokens: Held & { granted: number };
}

export interface SharedCapacity {
  levelUs: number;
  atMs: number;
  members: Record<string, Member>;
}

/** A gateway that says nothing for so long is gone: its grant and its places are free again. */
export const LEASE_MS_MAX = 3_000;
/** Supply of so long is what one turn takes at most, or the next request when that is larger. */
const TURN_MS = 200;
const WEIGHT_MIN = 0.01;

export function noSharedCapacity(nowMs: number): SharedCapacity {
  return { levelUs: 0, atMs: nowMs, members: {} };
}

/** Takes a report into `state` (it is changed) and grants a lease. Whole numbers, so that other languages get the same. */
export function exchangeLease(state: SharedCapacity, report: LeaseReport, nowMs: number): Lease {
  const { members } = state;
  const atMs = Math.max(state.atMs, nowMs);
  for (const [id, member] of Object.entries(members)) if (atMs - member.atMs > LEASE_MS_MAX) delete members[id];
  const isFirst = Object.keys(members).length === 0 && state.levelUs === 0;
  const drainedUs = Math.floor((atMs - state.atMs) * report.units * 1_000);
  state.levelUs = Math.max(isFirst ? report.levelUs : 0, state.levelUs - drainedUs);
  state.atMs = atMs;

  const others = Object.entries(members).flatMap(([id, member]) => (id === report.gatewayId ? [] : member));
  const before = members[report.gatewayId];
  const spentUs = before !== undefined ? report.spentUs - before.spentUs : isFirst ? 0 : report.unreportedUs;
  state.levelUs = Math.max(0, state.levelUs + spentUs);
  const weights = weightsOf(report.keys, others);
  const weighted = Object.entries(weights).map(([key, part]) => part * (report.keyWeights[key] ?? 1));
  const weight = Math.max(WEIGHT_MIN, Math.round(sum(weighted) * 1_000) / 1_000);
  const own: Member = {
    atMs,
    spentUs: report.spentUs,
    grantUs: 0,
    wantUs: Math.floor(Math.min(report.wantUs, Math.max(report.nextUs, TURN_MS * 1_000 * report.units))),
    servedUs: servedOf(before, others) + Math.floor(Math.max(0, spentUs) / weight),
    keys: report.keys,
    sequences: { ...report.sequences, granted: 0 },
    kvTokens: { ...report.kvTokens, granted: 0 },
  };
  members[report.gatewayId] = own;
  own.grantUs = grantOf(own, others, state.levelUs, report);
  const rank = Object.keys(members).toSorted().indexOf(report.gatewayId);
  const turn = ((rank + Math.floor(atMs / 1_000)) % (others.length + 1)) / (others.length + 1);
  own.sequences.granted = placesOf(
    own.sequences,
    others.map(({ sequences }) => sequences),
    report.sequencesMax,
    turn,
  );
  own.kvTokens.granted = placesOf(
    own.kvTokens,
    others.map(({ kvTokens }) => kvTokens),
    report.kvTokensMax,
    turn,
  );
  return {
    grantUs: own.grantUs,
    levelUs: state.levelUs,
    sequences: own.sequences.granted,
    kvTokens: own.kvTokens.granted,
    weights,
  };
}

/** What was idle is not owed for it: it begins level with the one that was served least. */
function servedOf(before: Member | undefined, others: readonly Member[]): number {
  const active = others.filter(({ wantUs }) => wantUs > 0).map(({ servedUs }) => servedUs);
  if (before !== undefined && (before.wantUs > 0 || active.length === 0)) return before.servedUs;
  return active.length === 0 ? 0 : Math.max(before?.servedUs ?? 0, Math.min(...active));
}

function grantOf(own: Member, others: readonly Member[], levelUs: number, report: LeaseReport): number {
  const { capacityUs, nextUs } = report;
  const heldUs = sum(others.map(({ grantUs }) => grantUs));
  if (nextUs > capacityUs && levelUs === 0 && heldUs === 0) return nextUs;
  const roomUs = Math.max(0, capacityUs - levelUs - heldUs);
  // Kept free for those that were served less and still wait for more than they have.
  const first = others.filter(({ servedUs, wantUs }) => wantUs > 0 && servedUs < own.servedUs);
  const keptUs = sum(first.map(({ wantUs, grantUs }) => Math.max(0, wantUs - grantUs)));
  const ownUs = Math.min(own.wantUs, Math.max(0, roomUs - keptUs));
  const waiting = sum(others.map(({ wantUs, grantUs }) => Math.max(0, wantUs - grantUs)));
  // What nobody waits for: an equal part, so that a sudden burst need not ask.
  const spareUs = Math.max(0, roomUs - ownUs - waiting);
  return ownUs + Math.floor(spareUs / (others.length + 2));
}

/**
 * Max-min fair by what is held and waited for, within what the others leave. What does not divide goes round: `turn` from
 * 0 to 1 says who is rounded up.
 */
function placesOf(
  own: Held,
  others: readonly (Held & { readonly granted: number })[],
  max: number,
  turn: number,
): number {
  const leftOver = max - sum(others.map(({ used, granted }) => Math.max(used, granted)));
  const wants = [own, ...others].map(({ used, want }) => used + want);
  const fair = waterLevel(wants, max);
  const spare = Math.max(0, max - sum(wants)) / wants.length;
  const mine = Math.floor(Math.min(wants[0]!, fair) + spare + turn);
  return Math.max(0, Math.min(mine, Math.floor(leftOver)));
}

/** The level up to which all wants are met when `total` is shared max-min fairly; Infinity when all are. */
function waterLevel(wants: readonly number[], total: number): number {
  let left = total;
  const sorted = wants.toSorted((a, b) => a - b);
  for (const [index, want] of sorted.entries()) {
    const equal = left / (sorted.length - index);
    if (want > equal) return equal;
    left -= want;
  }
  return Number.POSITIVE_INFINITY;
}

function weightsOf(keys: LeaseReport['keys'], others: readonly Member[]): Record<string, number> {
  const parts = Object.entries(keys).map(([key, here]): [string, number] => {
    const everywhere = here + sum(others.map((member) => member.keys[key] ?? 0));
    return [key, everywhere > 0 ? Math.round((here / everywhere) * 1_000) / 1_000 : 0];
  });
  return Object.fromEntries(parts);
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
