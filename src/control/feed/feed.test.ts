import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FeedCopy, type FeedLine, tablesOf } from '../../gateway/feed/wire.ts';
import { endpoint, KEY, replica, served, snapshot } from '../../gateway/fixture.ts';
import { endpointKey, type GatewaySnapshot } from '../../gateway/snapshot.ts';
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
