import type { ClusterListener, SimOutcome, UnitState } from './cluster/types.ts';

interface OpenRequest {
  readonly arrivedMs: number;
  unitId: string | null;
  sentMs: number | null;
  firstTokenMs: number | null;
}

interface KnownUnit {
  state: UnitState;
  readonly launchedMs: number;
  /** Since when it is billed: while it is ready. */
  billedSinceMs: number | null;
  open: number;
}

const FAULTS_KEPT = 20;
/** Rounding of sums of times. */
const TOLERANCE = 1e-6;

/**
 * Watches a run from outside and checks what must hold whatever the policies do: every request ends exactly once and in
 * the order of time; no unit serves outside its life; nothing holds more than fits, and an empty unit holds nothing; the
 * unit-time that was accounted is the sum of the units' lives. Knows nothing of how the cluster works inside.
 */
export class ClusterChecker implements ClusterListener {
  readonly faults: string[] = [];
  readonly #open = new Map<number, OpenRequest>();
  readonly #units = new Map<string, KnownUnit>();
  readonly #ended: Record<SimOutcome, number> = { completed: 0, refused: 0, expired: 0, failed: 0 };
  #arrivals = 0;
  #lastId = -1;
  #nowMs = 0;
  #unitMs = 0;
  #billedMs = 0;

  arrived(id: number, atMs: number): void {
    this.#clock(atMs);
    this.#arrivals += 1;
    if (id <= this.#lastId) this.#fault(`request ${id} arrives twice`);
    this.#lastId = id;
    this.#open.set(id, { arrivedMs: atMs, unitId: null, sentMs: null, firstTokenMs: null });
  }

  sent(id: number, unitId: string, atMs: number): void {
    this.#clock(atMs);
    const request = this.#open.get(id);
    const unit = this.#units.get(unitId);
    if (request === undefined) {
      this.#fault(`request ${id} is sent though it is not open`);
      return;
    }
    if (unit?.state !== 'ready')
      this.#fault(`request ${id} is sent to ${unitId}, which is ${unit?.state ?? 'unknown'}`);
    if (request.firstTokenMs !== null) this.#fault(`request ${id} is sent again after its first token`);
    this.#leaveUnit(request);
    request.unitId = unitId;
    request.sentMs = atMs;
    if (unit !== undefined) unit.open += 1;
  }

  firstToken(id: number, atMs: number): void {
    this.#clock(atMs);
    const request = this.#open.get(id);
    if (request === undefined) {
      this.#fault(`request ${id} has a first token though it is not open`);
      return;
    }
    if (request.sentMs === null || atMs <= request.sentMs) this.#fault(`request ${id} has a token before it was sent`);
    if (request.firstTokenMs !== null) this.#fault(`request ${id} has two first tokens`);
    this.#serves(request);
    request.firstTokenMs = atMs;
  }

  ended(id: number, outcome: SimOutcome, atMs: number): void {
    this.#clock(atMs);
    const request = this.#open.get(id);
    if (request === undefined) {
      this.#fault(`request ${id} ends twice, or never came`);
      return;
    }
    if (outcome === 'completed' && (request.firstTokenMs === null || atMs < request.firstTokenMs)) {
      this.#fault(`request ${id} ends before its first token`);
    }
    if ((outcome === 'refused' || outcome === 'expired') && request.sentMs !== null) {
      this.#fault(`request ${id} is ${outcome} after it was sent`);
    }
    this.#ended[outcome] += 1;
    this.#leaveUnit(request);
    this.#open.delete(id);
  }

  unit(unitId: string, state: UnitState, atMs: number): void {
    this.#clock(atMs);
    const unit = this.#units.get(unitId);
    if (unit === undefined) {
      if (state !== 'starting') this.#fault(`${unitId} is ${state} before it starts`);
      this.#units.set(unitId, { state, launchedMs: atMs, billedSinceMs: null, open: 0 });
      return;
    }
    if (!FOLLOWS[unit.state].includes(state)) this.#fault(`${unitId} goes from ${unit.state} to ${state}`);
    unit.state = state;
    if (state === 'ready') unit.billedSinceMs = atMs;
    else if (unit.billedSinceMs !== null) {
      this.#billedMs += atMs - unit.billedSinceMs;
      unit.billedSinceMs = null;
    }
    if (state !== 'released') return;
    this.#unitMs += atMs - unit.launchedMs;
    // Kept while requests are on it, which a failure takes with it: they have to end or go elsewhere.
    if (unit.open === 0) this.#units.delete(unitId);
  }

  holds(unitId: string, kvTokens: number, kvTokensMax: number, running: number, batch: number): void {
    if (kvTokens < 0 || kvTokens > kvTokensMax) this.#fault(`${unitId} holds ${kvTokens} of ${kvTokensMax} KV tokens`);
    if (running > batch) this.#fault(`${unitId} runs ${running} sequences of at most ${batch}`);
    if (kvTokens > 0 && running === 0 && this.#units.get(unitId)?.open === 0) {
      this.#fault(`${unitId} holds ${kvTokens} KV tokens of nobody`);
    }
  }

  /** At the end of a run; throws one Error that lists what did not hold. */
  finish(accounted: { readonly requests: number; readonly unitMs: number; readonly billedMs: number }): void {
    const ended = Object.values(this.#ended).reduce((sum, count) => sum + count, 0);
    if (this.#open.size > 0) this.#fault(`${this.#open.size} requests never ended`);
    if (ended !== this.#arrivals) this.#fault(`${this.#arrivals} requests came, ${ended} ended`);
    if (accounted.requests !== this.#arrivals) this.#fault(`${accounted.requests} counted, ${this.#arrivals} came`);
    for (const [unitId, { state }] of this.#units) {
      if (state !== 'released') this.#fault(`${unitId} is still ${state} at the end`);
    }
    this.#same('unit time', accounted.unitMs, this.#unitMs);
    this.#same('billed time', accounted.billedMs, this.#billedMs);
    if (this.faults.length > 0) throw new Error(`The simulation broke its own rules:\n${this.faults.join('\n')}`);
  }

  /** Whoever gives a token is alive. */
  #serves({ unitId }: OpenRequest): void {
    const state = unitId === null ? undefined : this.#units.get(unitId)?.state;
    if (state !== 'ready' && state !== 'draining') this.#fault(`${unitId} gives a token while ${state}`);
  }

  #leaveUnit({ unitId }: OpenRequest): void {
    const unit = unitId === null ? undefined : this.#units.get(unitId);
    if (unit === undefined) return;
    unit.open -= 1;
    if (unit.open === 0 && unit.state === 'released') this.#units.delete(unitId as string);
  }

  #same(what: string, accounted: number, summed: number): void {
    if (Math.abs(accounted - summed) <= TOLERANCE * Math.max(1, summed)) return;
    this.#fault(`${what}: ${accounted} ms accounted, ${summed} ms in the units' lives`);
  }

  #clock(atMs: number): void {
    if (!(atMs >= this.#nowMs)) this.#fault(`time goes back from ${this.#nowMs} to ${atMs} ms`);
    this.#nowMs = atMs;
  }

  #fault(text: string): void {
    if (this.faults.length < FAULTS_KEPT) this.faults.push(text);
  }
}

const FOLLOWS: Record<UnitState, readonly UnitState[]> = {
  starting: ['ready', 'released'],
  ready: ['draining', 'released'],
  draining: ['ready', 'released'],
  released: [],
};
