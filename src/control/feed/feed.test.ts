import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EngineAddress } from '../../engine/port.ts';
import { FeedCopy, type FeedLine, tablesOf } from '../../gateway/feed/wire.ts';
import { endpoint, KEY, replica, served, snapshot } from '../../gateway/fixture.ts';
import { upstreamKey } from '../../gateway/overflow-snapshot.ts';
import {
  type AdapterSnapshot,
  type EndpointSnapshot,
  endpointKey,
  type GatewaySnapshot,
  type KeySnapshot,
  type ServedModelSnapshot,
} from '../../gateway/snapshot.ts';
import { testControl } from '../fixture.ts';
import { sha256Hex } from '../operator-token.ts';
import { buildSnapshot } from '../snapshot.ts';
import { StartupTimes } from '../startup-times.ts';
import { SnapshotFeed } from './feed.ts';

const linesOf = (feed: SnapshotFeed, copy: FeedCopy) =>
  feed.since(copy.place).map((text) => JSON.parse(text) as FeedLine);

/** Brings the copy up to date; the types of the lines it took. */
function follow(feed: SnapshotFeed, copy: FeedCopy): [string[], GatewaySnapshot | null] {
  let last: GatewaySnapshot | null = null;
  const types = linesOf(feed, copy).map((line) => {
    last = copy.take(line);
    return line.type;
  });
  return [types, last];
}

test('a gateway gets the whole once and then what changed: keys, endpoints, replicas', () => {
  const feed = new SnapshotFeed('a');
  const copy = new FeedCopy();
  const first = snapshot(endpoint(), endpoint({ endpointId: 'ep-2', name: 'other' }));
  feed.publish(first);
  const [types, got] = follow(feed, copy);
  expect(types).toEqual(['whole']);
  expect(got?.keys).toEqual(first.keys);
  expect(got?.endpoints).toEqual(first.endpoints);

  // Nothing changed: no new version.
  feed.publish({ ...first, version: 99 });
  expect(follow(feed, copy)).toEqual([[], null]);
  expect(copy.take(JSON.parse(feed.beat()))).toBeNull();

  const grown = endpoint({ servedModels: [served({ replicas: [replica('rep-1'), replica('rep-2')] })] });
  const second = snapshot(grown);
  const keys = new Map([...second.keys].filter(([hash]) => hash !== sha256Hex(KEY)));
  feed.publish({ ...second, keys });
  const [change] = linesOf(feed, copy);
  expect(change).toMatchObject({ type: 'change', keys: [], keysGone: [sha256Hex(KEY)], endpointsGone: ['ep-2'] });
  const after = copy.take(change!);
  expect(after?.keys).toEqual(keys);
  expect([...after!.endpoints.keys()].sort()).toEqual(['t-1/demo', 't-1/ep-1']);
  expect(after!.endpoints.get(endpointKey('t-1', 'demo'))).toEqual(grown);
});

test('who fell behind too far, or follows another process, gets the whole; a line out of turn is refused', () => {
  const feed = new SnapshotFeed('a', { changes: 2, bytes: 1e6 });
  const copy = new FeedCopy();
  const named = (name: string) => feed.publish(snapshot(endpoint({ name })));
  named('one');
  follow(feed, copy);
  named('two');
  named('three');
  expect(follow(feed, copy)[0]).toEqual(['change', 'change']);
  for (const name of ['four', 'five', 'six']) named(name);
  const stale = linesOf(feed, new FeedCopy());
  expect(follow(feed, copy)[0]).toEqual(['whole']);
  expect(stale.map(({ type }) => type)).toEqual(['whole']);
  const other = new SnapshotFeed('b');
  other.publish(snapshot(endpoint({ name: 'seven' })));
  expect(follow(other, copy)[0]).toEqual(['whole']);
  expect(() => copy.take(JSON.parse(feed.beat()))).toThrow(/does not follow/);
});

test('what a gateway follows is what the control plane built, to the field', async () => {
  const control = await testControl();
  const tenant = await control.tenant();
  await control.endpoint(tenant.manager, 2);
  await control.provisioned();
  const built = await buildSnapshot({ ...control.deps, graceServes: true }, 1, new StartupTimes());
  const feed = new SnapshotFeed('a');
  feed.publish(built);
  const [, got] = follow(feed, new FeedCopy());
  expect(tablesOf(got!)).toEqual(tablesOf(built));
});

test('however versions come and go, and however far apart it looks, the copy ends the same', () => {
  const worlds = fc.array(fc.tuple(fc.subarray(['a', 'b', 'c', 'd']), fc.nat(3), fc.boolean()), { minLength: 1 });
  fc.assert(
    fc.property(worlds, (steps) => {
      const feed = new SnapshotFeed('x', { changes: 3, bytes: 1e6 });
      const copy = new FeedCopy();
      let last: GatewaySnapshot | null = null;
      for (const [names, maxWaitMs, looks] of steps) {
        const world = snapshot(...names.map((name) => endpoint({ endpointId: `ep-${name}`, name, maxWaitMs })));
        feed.publish(world);
        if (looks) last = follow(feed, copy)[1] ?? last;
        if (looks) expect(tablesOf(last!)).toEqual(tablesOf(world));
      }
    }),
  );
});

test('every field that a snapshot can have arrives, and an upstream stands where only spilling finds it', () => {
  const adapter: Required<AdapterSnapshot> = {
    adapterId: 'ad-1',
    name: 'fine',
    baseModelId: 'model-1',
    rank: 8,
    path: '/adapters/fine',
  };
  const step = { tau0Us: 1, tau1Us: 2, tau2Us: 3, tau3Us: 4, tau4Us: 5, tau5Us: 6 };
  const address: Required<Extract<EngineAddress, { kind: 'openai-http' }>> = {
    kind: 'openai-http',
    url: 'https://engine.example',
    model: 'm',
    apiKey: 'secret',
    dialect: 'sglang',
    publicOnly: true,
    bootstrapPort: 8_998,
    kvEvents: { events: 'tcp://engine.example:1', replay: null },
  };
  const model: Required<ServedModelSnapshot> = {
    ...served({ replicas: [replica('rep-1', { address })] }),
    shared: true,
    chatTemplateTokens: 9,
    lora: [{ rank: 8, prefill: 1.1, decode: 1.2 }],
    adaptersPerReplica: 4,
    latency: { step, stepTokensMax: 512, ttftMsMax: 500, ttftPrefillFactor: 2, tpotMsMax: 50 },
  };
  const full: Required<Omit<EndpointSnapshot, 'upstream'>> = {
    ...endpoint({ servedModels: [model] }),
    adapters: [adapter],
    rateLimit: { key: 'pool t-1', requestsPerMinute: 1, tokensPerMinute: 2, workUsPerMinute: 3, concurrency: 4 },
    suspended: true,
    overflow: {
      policy: 'spill',
      allowed: ['spill', 'reject'],
      queueWaitMs: 1,
      spillAfterMs: 2,
      reasons: ['no_capacity'],
      targets: [
        {
          targetId: 'up-1',
          endpointKey: upstreamKey('up-1'),
          price: { inputMicros: 1, cachedMicros: 2, outputMicros: 3 },
        },
      ],
      budgetMicros: 4,
    },
  };
  const key: Required<KeySnapshot> = {
    keyId: 'key-1',
    tenantId: 't-1',
    share: { id: 'group', weight: 3 },
    limits: { requestsPerMinute: 1, tokensPerMinute: 2, workUsPerMinute: 3, concurrency: 4 },
  };
  const plain = snapshot(full);
  const upstream = endpoint({ endpointId: 'up-1', name: 'paid', upstream: { outputTokensMax: 16 } });
  const built: GatewaySnapshot = {
    version: 1,
    keys: new Map([...plain.keys, ['hash', key]]),
    endpoints: new Map([...plain.endpoints, [upstreamKey('up-1'), upstream]]),
  };
  const feed = new SnapshotFeed('a');
  feed.publish(built);
  const copy = new FeedCopy();
  const [, got] = follow(feed, copy);
  expect(got?.keys).toEqual(built.keys);
  expect(got?.endpoints).toEqual(built.endpoints);
  // Kept on the disk and read by the next process too.
  expect(new FeedCopy().take(JSON.parse(JSON.stringify(copy.whole())))?.endpoints).toEqual(built.endpoints);
});
