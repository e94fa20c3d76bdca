import type { Kysely } from 'kysely';
import { ATTEMPTS_MAX, retryWaitMs } from '../../core/commerce/delivery.ts';
import type { Database, Row } from '../../store/schema.ts';
import type { ControlLog } from '../call.ts';
import { messageOf, targetOf } from '../channel/target.ts';
import { createTurns } from '../turns.ts';
import type { Sender, Sent } from './message.ts';

export interface DelivererDeps {
  readonly db: Kysely<Database>;
  readonly sender: Sender;
  readonly log: ControlLog;
  /** Epoch milliseconds. */
  now(): number;
  /** In [0, 1): spreads retries. */
  random(): number;
  /** Channels that are sent to at the same time; 32 unless told otherwise. */
  readonly lanesMax?: number;
}

const LANES_MAX = 32;
/** Longer than an attempt may last: whoever claimed a delivery and has not ended it by then has died. */
const CLAIM_MS = 60_000;
const GAP_MS = 20;
const TICK_MS = 2_000;

/** Sends what is due, at the latest two seconds after it is. */
export function startDeliverer(deps: DelivererDeps): { stop(): Promise<void> } {
  const deliverer = new Deliverer(deps, () => turns.poke());
  const turns = createTurns({
    work: () => deliverer.pass(),
    gapMs: GAP_MS,
    tickMs: TICK_MS,
    failed: (error) => deps.log.error({ err: error }, 'notices wait; they are sent again in a second'),
  });
  turns.poke();
  return {
    async stop() {
      await turns.stop();
      await deliverer.stop();
    },
  };
}

type Claim = Row<'deliveries'>;

function claimedAt(due: Claim, nowMs: number) {
  return { attempts: due.attempts + 1, next_due_ms: nowMs + CLAIM_MS };
}

/** For what was claimed as often as may be and never ended. */
function givenUp(nowMs: number) {
  const failure = 'Every attempt was interrupted.';
  return { state: 'failed', next_due_ms: null, ended_at_ms: nowMs, failure } as const;
}

/**
 * Empties the outbox. A delivery is claimed (its attempt counted, its due time pushed out) in one transaction, sent
 * outside of any, and its end is written down: a kill before the sending or after it means that it is sent again, never
 * that it is lost. Any number of processes may do this beside each other.
 *
 * One delivery at a time for each channel, some channels at once, whoever waited longest first: a receiver that fails or
 * is slow takes one lane for the length of its time-out and holds nobody else up.
 */
export class Deliverer {
  readonly #deps: DelivererDeps;
  readonly #freed: () => void;
  readonly #lanes = new Map<string, Promise<void>>();
  /** The number of the last attempt for a channel, of those that had something due lately. */
  #turns = new Map<string, number>();
  #turn = 0;
  readonly #stopping = new AbortController();

  constructor(deps: DelivererDeps, freed: () => void = () => undefined) {
    this.#deps = deps;
    this.#freed = freed;
  }

  /** Starts what is due, as far as lanes are free, and does not wait for it. */
  async pass(): Promise<void> {
    const free = (this.#deps.lanesMax ?? LANES_MAX) - this.#lanes.size;
    if (free <= 0 || this.#stopping.signal.aborted) return;
    const due = await this.#dueChannels();
    this.#turns = new Map(due.map((id) => [id, this.#turns.get(id) ?? 0]));
    const waiting = due.filter((id) => !this.#lanes.has(id));
    waiting.sort((a, b) => (this.#turns.get(a) ?? 0) - (this.#turns.get(b) ?? 0));
    for (const channelId of waiting.slice(0, free)) {
      this.#turns.set(channelId, ++this.#turn);
      const lane = this.#sendNext(channelId).finally(() => {
        this.#lanes.delete(channelId);
        this.#freed();
      });
      this.#lanes.set(channelId, lane);
    }
  }

  /** Resolves when nothing is being sent. */
  async idle(): Promise<void> {
    while (this.#lanes.size > 0) await Promise.all(this.#lanes.values());
  }

  /** Cuts what is being sent: it is sent again after the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.idle();
  }

  async #dueChannels(): Promise<string[]> {
    const { db, now } = this.#deps;
    const nowMs = now();
    const any = await db.selectFrom('deliveries').select('id').where('next_due_ms', '<=', nowMs).limit(1).execute();
    if (any.length === 0) return [];
    const rows = await db
      .selectFrom('channels')
      .select('id')
      .where((eb) =>
        eb.exists(
          eb
            .selectFrom('deliveries')
            .select('deliveries.id')
            .whereRef('channel_id', '=', 'channels.id')
            .where('next_due_ms', '<=', nowMs),
        ),
      )
      .orderBy('id')
      .execute();
    return rows.map(({ id }) => id);
  }

  async #sendNext(channelId: string): Promise<void> {
    const { db, log, sender, now } = this.#deps;
    try {
      const claim = await this.#claim(channelId);
      if (claim === null) return;
      const [target, message] = [await targetOf(db, channelId, now()), await messageOf(db, claim.notice_id)];
      const sent = await sender.send(target, message, { nowMs: now(), signal: this.#stopping.signal });
      if (this.#stopping.signal.aborted && !sent.ok) await this.#giveBack(claim);
      else await this.#record(claim, sent);
    } catch (error) {
      log.error({ err: error, channelId }, 'a delivery could not be written down; it is sent again');
    }
  }

  async #claim(channelId: string): Promise<Claim | null> {
    const { db, now } = this.#deps;
    return db.transaction().execute(async (trx) => {
      const nowMs = now();
      const due = await trx
        .selectFrom('deliveries')
        .selectAll()
        .where('channel_id', '=', channelId)
        .where('next_due_ms', '<=', nowMs)
        .orderBy('next_due_ms')
        .orderBy('id')
        .limit(1)
        .executeTakeFirst();
      if (due === undefined) return null;
      const claimed = await trx
        .updateTable('deliveries')
        .set(due.attempts < ATTEMPTS_MAX ? claimedAt(due, nowMs) : givenUp(nowMs))
        .where('id', '=', due.id)
        .where('attempts', '=', due.attempts)
        .where('next_due_ms', '=', due.next_due_ms)
        .returningAll()
        .executeTakeFirst();
      return claimed?.state === 'pending' ? claimed : null;
    });
  }

  /** Unless it was cancelled, or claimed again by another who took this process for dead. */
  async #record(claim: Claim, sent: Sent): Promise<void> {
    const { db, now, random, log } = this.#deps;
    const nowMs = now();
    const waitMs = sent.ok || sent.permanent ? null : retryWaitMs(claim.attempts, random());
    const state = sent.ok ? 'delivered' : waitMs === null ? 'failed' : 'pending';
    await db
      .updateTable('deliveries')
      .set({
        state,
        next_due_ms: waitMs === null ? null : nowMs + waitMs,
        ended_at_ms: waitMs === null ? nowMs : null,
        failure: sent.ok ? null : sent.failure.slice(0, 500),
      })
      .where('id', '=', claim.id)
      .where('attempts', '=', claim.attempts)
      .where('state', '=', 'pending')
      .execute();
    if (state === 'failed') log.info({ deliveryId: claim.id, channelId: claim.channel_id }, 'a notice is given up');
  }

  async #giveBack(claim: Claim): Promise<void> {
    await this.#deps.db
      .updateTable('deliveries')
      .set({ attempts: claim.attempts - 1, next_due_ms: this.#deps.now() })
      .where('id', '=', claim.id)
      .where('attempts', '=', claim.attempts)
      .where('state', '=', 'pending')
      .execute();
  }
}
