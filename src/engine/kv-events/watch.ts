import type { KvEvent } from '../../core/serving/kv-blocks.ts';
import type { KvEventSource } from '../port.ts';
import { decodeBatch } from './decode.ts';

/** Who is told. All of it is a hint for routing: nothing here ever stops a request. */
export interface KvEventSink {
  event(event: KvEvent): void;
  /** Messages were lost for good, or the engine has restarted: what was told before is void. */
  reset(): void;
  malformed(count: number): void;
  /** The connection could not be used; watching goes on. */
  failed(error: unknown): void;
}

export type WatchKvEvents = (source: KvEventSource, sink: KvEventSink) => () => void;

const MESSAGE_BYTES_MAX = 64 * 2 ** 20;
const WAITING_MAX = 10_000;
const REPLAY_MS_MAX = 5_000;
const END = -1n;

/**
 * Subscribes to what an engine publishes: messages of topic, sequence number (8 bytes, big endian) and batch. A gap in the
 * numbers is asked for at the replay address; what cannot be had resets. Returns what ends it.
 */
export const watchKvEvents: WatchKvEvents = (source, sink) => {
  let stop = () => {};
  let stopped = false;
  const run = async () => {
    const [{ Dealer, Subscriber }, { decode }] = await Promise.all([import('zeromq'), import('@msgpack/msgpack')]);
    if (stopped) return;
    const socket = new Subscriber({ linger: 0, receiveHighWaterMark: WAITING_MAX, maxMessageSize: MESSAGE_BYTES_MAX });
    stop = () => socket.close();
    socket.connect(source.events);
    socket.subscribe();
    const read = (payload: Uint8Array) => decode(payload, { useBigInt64: true });
    const follower = new Follower(sink, read, (from) => replay(Dealer, source.replay, from));
    for await (const [, sequence, payload] of socket) {
      if (sequence?.length === 8 && payload !== undefined) await follower.take(sequence.readBigUInt64BE(), payload);
      else sink.malformed(1);
    }
  };
  run().catch((error: unknown) => {
    if (!stopped) sink.failed(error);
  });
  return () => {
    stopped = true;
    stop();
  };
};

type Message = readonly [sequence: bigint, payload: Uint8Array];

/** Applies messages in the order of their numbers, whatever comes. */
class Follower {
  readonly #sink: KvEventSink;
  readonly #read: (payload: Uint8Array) => unknown;
  readonly #replay: (from: bigint) => Promise<readonly Message[]>;
  /** The first is 0. */
  #next = 0n;

  constructor(
    sink: KvEventSink,
    read: (payload: Uint8Array) => unknown,
    replay: (from: bigint) => Promise<readonly Message[]>,
  ) {
    this.#sink = sink;
    this.#read = read;
    this.#replay = replay;
  }

  async take(sequence: bigint, payload: Uint8Array): Promise<void> {
    if (sequence < this.#next) {
      // It counts anew: the engine has restarted.
      this.#sink.reset();
      this.#next = 0n;
    }
    if (sequence > this.#next) await this.#catchUp(sequence);
    this.#apply(sequence, payload);
  }

  async #catchUp(until: bigint): Promise<void> {
    const missed = await this.#replay(this.#next).catch((error: unknown) => {
      this.#sink.failed(error);
      return [];
    });
    for (const [sequence, payload] of missed) {
      if (sequence === this.#next && sequence < until) this.#apply(sequence, payload);
    }
    if (this.#next < until) this.#sink.reset();
  }

  #apply(sequence: bigint, payload: Uint8Array): void {
    this.#next = sequence + 1n;
    let batch: ReturnType<typeof decodeBatch>;
    try {
      batch = decodeBatch(this.#read(payload));
    } catch {
      batch = null;
    }
    const { events, malformed } = batch ?? { events: [], malformed: 1 };
    if (malformed > 0) this.#sink.malformed(malformed);
    for (const event of events) this.#sink.event(event);
  }
}

/** What the engine still has from a number on; nothing without an address, or when it does not answer in time. */
async function replay(
  Dealer: typeof import('zeromq').Dealer,
  address: string | null,
  from: bigint,
): Promise<readonly Message[]> {
  if (address === null) return [];
  const socket = new Dealer({ linger: 0, receiveTimeout: REPLAY_MS_MAX, maxMessageSize: MESSAGE_BYTES_MAX });
  try {
    socket.connect(address);
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(from);
    await socket.send([Buffer.alloc(0), number]);
    const messages: Message[] = [];
    while (messages.length < WAITING_MAX) {
      const [, sequence, payload] = await socket.receive();
      if (sequence?.length !== 8 || sequence.readBigInt64BE() === END || payload === undefined) break;
      messages.push([sequence.readBigUInt64BE(), payload]);
    }
    return messages;
  } finally {
    socket.close();
  }
}
