import { type ErrorCode, toCubitError } from '../core/errors.ts';
import type { HealthEnd, HealthSamples } from '../core/serving/replica-health.ts';
import type { Work } from '../core/serving/work.ts';
import type { EngineReply } from '../engine/port.ts';
import { AdapterUse } from './adapters.ts';
import type { Estimated } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import { sendToPair } from './pair.ts';
import type { Body } from './parse.ts';
import type { Replica } from './replica.ts';
import type { ServedModel } from './served.ts';
import { Stay } from './stay.ts';
import { Watchdog } from './watchdog.ts';

/** A whole unit, or a prefill machine with the decode machine that goes on. */
export interface Place {
  readonly first: Replica;
  readonly decode: Replica | null;
}

export interface AttemptOptions {
  readonly served: ServedModel;
  readonly tenantId: string;
  readonly body: Body;
  readonly estimated: Estimated;
  readonly monotonicMs: () => number;
  /** From sending until the first token, or until the whole answer that is no stream. */
  readonly firstMsMax: number;
}

/** Nothing at all from a replica for so long, or for so many times what was sold of it: it has stalled. */
const QUIET_MS_MIN = 10_000;
const QUIET_FACTOR = 10;
/** Of every request, beside its work: connections, parsing, the first step's wait. */
const FIXED_MS = 20;
/** A mean over fewer tokens says little. */
const PACE_TOKENS_MIN = 8;

const ENDS: Readonly<Partial<Record<ErrorCode, HealthEnd>>> = {
  engine_unavailable: 'unreachable',
  engine_failed: 'failed',
  engine_timeout: 'failed',
};

/** One request on its way to one place: its signal, its share of the place's load, and what it says of the replicas. */
export class Attempt {
  readonly place: Place;
  readonly watchdog = new Watchdog();
  readonly sentMs: number;
  readonly #exchange: Exchange;
  readonly #options: AttemptOptions;
  readonly #stays: readonly [Stay, Stay?];
  readonly #adapter: AdapterUse | null;
  /** Work that was ahead of it when it was sent, and sequences beside it. */
  readonly #aheadUs: number;
  readonly #besides: number;
  /** Expected, of the adapter that it needs; its times then say nothing of the replica. */
  readonly #loadMs: number;
  readonly #epochs: readonly [number, number?];
  readonly #firstMsMax: number;
  #over = false;

  constructor(place: Place, exchange: Exchange, options: AttemptOptions) {
    this.place = place;
    this.#exchange = exchange;
    this.#options = options;
    this.sentMs = options.monotonicMs();
    const { first, decode } = place;
    this.#aheadUs = first.prefillAheadUs;
    this.#besides = (decode ?? first).running;
    this.#stays = staysAt(place, options.estimated);
    const machines = decode === null ? [first] : [first, decode];
    this.#adapter = exchange.adapter && new AdapterUse(exchange.adapter, machines);
    this.#loadMs = expectedLoadMs(exchange.adapter, machines, options.served);
    const quietMs = Math.max(QUIET_MS_MIN, QUIET_FACTOR * (this.#soldMs() + this.#loadMs));
    // Whoever happens to try a replica that hung before does not wait for all of the time-out.
    const onTrial = options.served.fitness.view(first.replicaId)?.state === 'probing';
    this.#firstMsMax = onTrial ? Math.min(quietMs, options.firstMsMax) : options.firstMsMax;
    const began = (replica: Replica) =>
      options.served.fitness.of(replica.role).began(replica.replicaId, this.sentMs, quietMs);
    this.#epochs = decode === null ? [began(first)] : [began(first), began(decode)];
  }

  /** Resolves with the engine's reply; the watchdog is armed. */
  send(): Promise<EngineReply> {
    this.watchdog.arm(this.#firstMsMax, `The engine did not answer within ${this.#firstMsMax} ms.`);
    const send = () => this.#sendTo(this.place);
    return this.#adapter === null ? send() : this.#adapter.send(this.watchdog, send);
  }

  #sendTo({ first, decode }: Place): Promise<EngineReply> {
    const exchange = this.#exchange;
    const { kind, requestId, adapter } = exchange;
    const named = adapter && { adapter: adapter.adapterId };
    const request = { kind, body: this.#options.body, ...named, requestId, cacheSalt: saltOf(exchange, this.#options) };
    if (decode === null) return first.engine.send(request, this.watchdog);
    return sendToPair({ prefill: first, decode }, exchange, request, this.watchdog, () => this.#stays[0].end());
  }

  /** The first token came: its prefill is ahead of nobody any more. */
  prefilled(): void {
    const { served, monotonicMs } = this.#options;
    const { first, decode } = this.place;
    this.#stays[0].prefilled();
    for (const replica of decode === null ? [first] : [first, decode]) {
      served.fitness.of(replica.role).progressed(replica.replicaId, monotonicMs());
    }
  }

  /** Again: nothing more. `error`: what ended it; null = it was delivered. */
  end(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    // Frees the engine's slot whatever the reason.
    if (error !== null) this.watchdog.abort(error);
    this.watchdog.stop();
    const running = (this.#besides + (this.place.decode ?? this.place.first).running) / 2;
    for (const stay of this.#stays) stay?.end();
    this.#adapter?.release();
    const end = error === null ? 'ok' : (ENDS[toCubitError(error).code] ?? 'abandoned');
    this.#tell(end, Math.max(1, running));
  }

  #tell(end: HealthEnd, running: number): void {
    const { first, decode } = this.place;
    const samples = end === 'ok' && this.#loadMs === 0 ? this.#samples(running) : {};
    const { firstToken, ...rest } = samples;
    if (decode === null) this.#tellOf(first, 0, end, samples);
    else {
      this.#tellOf(first, 0, end, firstToken === undefined ? {} : { firstToken });
      this.#tellOf(decode, 1, end, rest);
    }
  }

  #tellOf(replica: Replica, at: 0 | 1, end: HealthEnd, samples: HealthSamples): void {
    const { fitness } = this.#options.served;
    // Of a pair, the failure is that one's which was at work.
    const { replicaId } = this.#exchange;
    const isOthers = this.place.decode !== null && end !== 'ok' && replicaId !== replica.replicaId;
    const own = isOthers ? 'abandoned' : end;
    fitness.of(replica.role).ended(replica.replicaId, this.#epochs[at] ?? 0, this.#options.monotonicMs(), own, samples);
  }

  /** Times of an answer that was delivered, each with the load that it met. */
  #samples(running: number): HealthSamples {
    const { actual, firstTokenMs, tokens, tpotMs } = this.#exchange;
    const { batchPerUnit } = this.#options.served.snapshot;
    const { outputTokens } = tokens;
    const aheadMs = FIXED_MS + (this.#aheadUs + actual.prefillUs) / 1_000;
    const firstToken =
      firstTokenMs === null ? {} : { firstToken: { ms: firstTokenMs - this.sentMs, load: aheadMs, soldMs: aheadMs } };
    if (outputTokens < PACE_TOKENS_MIN) return firstToken;
    // A stream says how long its tokens took, any other answer how long all of it took.
    const isStream = tpotMs !== null;
    const ms = tpotMs ?? (this.#options.monotonicMs() - this.sentMs) / outputTokens;
    const eachMs = actual.decodeUs / outputTokens / 1_000;
    const restMs = isStream ? 0 : aheadMs / outputTokens;
    return { ...firstToken, tokens: { ms, load: restMs + eachMs * running, soldMs: restMs + eachMs * batchPerUnit } };
  }

  /** Until the first sign of it, as the profile has it. */
  #soldMs(): number {
    const { estimated, body, served } = this.#options;
    const { prefillUs, decodeUs } = estimated.work;
    const answerUs = body['stream'] === true ? 0 : (decodeUs / estimated.sequences) * served.snapshot.batchPerUnit;
    return (this.#aheadUs + prefillUs + answerUs) / 1_000;
  }
}

/** Whose prefixes are cached together: one tenant's, with one adapter. */
export function saltOf({ adapter }: Exchange, { tenantId }: Pick<AttemptOptions, 'tenantId'>): string {
  return adapter === null ? tenantId : `${tenantId}/${adapter.adapterId}`;
}

/** What loading the adapter will likely take on these machines, ms; 0 where they have it or none is asked for. */
function expectedLoadMs(adapter: Exchange['adapter'], machines: readonly Replica[], served: ServedModel): number {
  if (adapter === null || machines.every(({ adapters }) => adapters.has(adapter.adapterId))) return 0;
  return served.adapterLoads.expectedUs / 1_000;
}

/** Each machine of a pair has its own part of the work. */
function staysAt({ first, decode }: Place, { sequences, work, kvTokens, tokens }: Estimated): [Stay, Stay?] {
  if (decode === null) return [new Stay(first, sequences, work, kvTokens)];
  const part = (more: Partial<Work>): Work => ({ ...work, ...more });
  return [
    new Stay(first, sequences, part({ decodeUs: 0 }), tokens.promptTokens),
    new Stay(decode, sequences, part({ prefillUs: 0 }), kvTokens),
  ];
}
