import { CubitError } from '../core/errors.ts';
import type { EngineReply } from '../engine/port.ts';
import type { Attempt } from './attempt.ts';
import type { Exchange } from './exchange.ts';
import { untilAborted } from './until-aborted.ts';

export interface Lead {
  readonly attempt: Attempt;
  readonly reply: EngineReply;
}

/**
 * Sends the same request to a second place when the first has not sent a byte of its answer within `afterMs`; whichever
 * sends one first is the answer, the other is cancelled, which frees its slot. `second` makes the other attempt, or says
 * null when there is no place or no budget for it. The request's work is reserved and settled once, whoever serves it.
 * Throws what the first attempt threw when both fail, and what cuts the exchange.
 */
export async function firstOf(
  first: Attempt,
  exchange: Exchange,
  afterMs: number,
  second: () => Attempt | null,
): Promise<Lead> {
  const opening = opened(first);
  if (await settlesWithin(opening, afterMs)) return opening;
  const other = second();
  if (other === null) return opening;
  exchange.onCut((error) => {
    first.watchdog.abort(error);
    other.watchdog.abort(error);
  });
  const openings = [opening, opened(other)];
  try {
    const lead = await Promise.any(openings);
    const loser = lead.attempt === first ? other : first;
    loser.end(new CubitError('client_closed', 'Another replica answered first.'));
    return lead;
  } catch {
    const [failed, otherFailed] = await Promise.allSettled(openings);
    if (otherFailed?.status === 'rejected') other.end(otherFailed.reason);
    throw failed?.status === 'rejected' ? failed.reason : new CubitError('internal', 'No replica answered.');
  }
}

/** Whether it resolves or rejects in that time. */
async function settlesWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const settled = work.then(
    () => true,
    () => true,
  );
  const inTime = await Promise.race([settled, late]);
  clearTimeout(timer);
  return inTime;
}

/** The reply with its first bytes, so that it is known to have begun. */
function opened(attempt: Attempt): Promise<Lead> {
  return untilAborted(attempt.watchdog, async () => {
    const reply = await attempt.send();
    const rest = reply.bytes[Symbol.asyncIterator]();
    const part = await rest.next();
    return { attempt, reply: { stream: reply.stream, bytes: new Resumed(part, rest) } };
  });
}

/** What was read already, then the rest. */
class Resumed implements AsyncIterableIterator<Uint8Array> {
  #part: IteratorResult<Uint8Array> | null;
  readonly #rest: AsyncIterator<Uint8Array>;

  constructor(part: IteratorResult<Uint8Array>, rest: AsyncIterator<Uint8Array>) {
    this.#part = part;
    this.#rest = rest;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const part = this.#part;
    if (part === null) return this.#rest.next();
    this.#part = null;
    return Promise.resolve(part);
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#part = null;
    return (await this.#rest.return?.()) ?? { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
