import { encode } from '@msgpack/msgpack';
import { expect, it } from 'vitest';
import { Publisher, Router } from 'zeromq';
import type { KvEvent } from '../../core/serving/kv-blocks.ts';
import { decodeBatch } from './decode.ts';
import { watchKvEvents } from './watch.ts';

const HASH = 2n ** 63n + 7n;
const pack = (value: unknown) => encode(value, { useBigInt64: true });
const asArrays = (...events: unknown[]) => pack([1.5, events, 0]);
const asMaps = (...events: unknown[]) => pack({ ts: 1.5, events });
const stored = (hash: bigint, ids: number[]) => ['BlockStored', [hash], null, ids, 2, null, 'GPU'];

const number = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};

it('reads both forms of events alike, and counts what is none', () => {
  const arrays = [
    ['BlockStored', [HASH], null, [1, 2], 2, null, 'GPU', 'mdl-a', [['mdl-a', 't-1/mdl-a']]],
    ['BlockRemoved', [HASH], 'GPU'],
    ['AllBlocksCleared'],
  ];
  const maps = [
    {
      ...{ type: 'BlockStored', block_hashes: [HASH], parent_block_hash: null, token_ids: [1, 2], block_size: 2 },
      ...{ lora_id: null, medium: 'GPU', lora_name: 'mdl-a', extra_keys: [['mdl-a', 't-1/mdl-a']] },
    },
    { type: 'BlockRemoved', block_hashes: [HASH], medium: 'GPU' },
    { type: 'AllBlocksCleared' },
  ];
  const wanted: KvEvent[] = [
    {
      ...{ kind: 'stored', hashes: [String(HASH)], parent: null, tokenIds: [1, 2] },
      ...{ blockTokens: 2, adapter: 'mdl-a', salt: 't-1/mdl-a' },
    },
    { kind: 'removed', hashes: [String(HASH)] },
    { kind: 'cleared' },
  ];
  expect(decodeBatch([1, arrays])).toEqual({ events: wanted, malformed: 0 });
  expect(decodeBatch({ ts: 1, events: maps })).toEqual({ events: wanted, malformed: 0 });
  const bytes = decodeBatch([1, [['BlockStored', [Uint8Array.of(1, 255)], null, [1], 1, 4]]]);
  expect(bytes?.events).toMatchObject([{ hashes: ['01ff'], adapter: '#4', salt: '' }]);
  const bad = [['BlockStored', 'x'], ['BlockStored', [1], null, [1, 2], 4], ['Else'], 7, null, ['BlockRemoved', [{}]]];
  expect(decodeBatch([1, bad])).toEqual({ events: [], malformed: bad.length });
  expect(decodeBatch([1, [['BlockRemoved', [1], 'CPU']]])).toEqual({ events: [], malformed: 0 });
  for (const none of [7, null, 'x', [], [1], { events: 3 }]) expect(decodeBatch(none)).toBeNull();
});

it('follows a publisher over real sockets: gaps are replayed, or reset; a restart resets; rubbish is counted', async () => {
  const publisher = new Publisher({ linger: 0 });
  const router = new Router({ linger: 0 });
  await publisher.bind('tcp://127.0.0.1:*');
  await router.bind('tcp://127.0.0.1:*');
  const kept = new Map<bigint, Uint8Array>();
  const replaying = (async () => {
    for await (const [client, empty, from] of router) {
      for (const [at, payload] of kept) {
        if (at >= (from as Buffer).readBigUInt64BE()) await router.send([client!, empty!, number(at), payload]);
      }
      await router.send([client!, empty!, number(-1n), Buffer.alloc(0)]);
    }
  })();
  const log: string[] = [];
  const heard = Promise.withResolvers<void>();
  const stop = watchKvEvents(
    { events: publisher.lastEndpoint as string, replay: router.lastEndpoint as string },
    {
      event: (event) => {
        log.push(event.kind === 'cleared' ? 'cleared' : `${event.kind} ${event.hashes.join()}`);
        if (event.kind === 'cleared') heard.resolve();
      },
      reset: () => log.push('reset'),
      malformed: (count) => log.push(`malformed ${count}`),
      failed: (error) => log.push(`failed ${error}`),
    },
  );
  try {
    kept.set(0n, asArrays(stored(10n, [1, 2])));
    kept.set(1n, asMaps({ type: 'BlockRemoved', block_hashes: [10n], medium: null }));
    // A subscriber that joins late hears nothing of before: the first that it hears has it ask.
    const two = asArrays(stored(12n, [3, 4]));
    while (!log.includes('stored 12')) {
      await publisher.send(['', number(2n), two]);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const joined = log.splice(0);
    expect(joined.slice(0, 3)).toEqual(['stored 10', 'removed 10', 'stored 12']);
    kept.clear();
    await publisher.send(['', number(1_000n), Buffer.from('rubbish')]);
    await publisher.send(['', Buffer.from('x'), two]);
    await publisher.send(['', number(1_001n), asArrays(['Else'], stored(13n, [5, 6]))]);
    await publisher.send(['', number(0n), asArrays(['AllBlocksCleared'])]);
    await heard.promise;
    expect(log.slice(-7)).toEqual([
      'reset',
      'malformed 1',
      'malformed 1',
      'malformed 1',
      'stored 13',
      'reset',
      'cleared',
    ]);
  } finally {
    stop();
    publisher.close();
    router.close();
    await replaying;
  }
});
