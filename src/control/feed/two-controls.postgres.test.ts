import { expect, test } from 'vitest';
import { FeedCopy, type FeedLine } from '../../gateway/feed/wire.ts';
import { testDatabase } from '../../store/fixture.ts';
import { openStore } from '../../store/store.ts';
import { TestControl } from '../fixture.ts';
import { keyRevoke } from '../key/revoke.ts';
import { sha256Hex } from '../operator-token.ts';
import { SHARED_TICK_MS, snapshotPublisher } from '../snapshot.ts';
import { SnapshotFeed } from './feed.ts';

test('gateways of one control process lose a key that another on the same database revoked, unasked', async () => {
  const database = await testDatabase();
  const here = new TestControl(await openStore(database));
  const there = new TestControl(await openStore(database));
  const { manager, reader, readerKey } = await here.tenant();
  const keyId = reader.kind === 'key' ? reader.keyId : '';
  const feed = new SnapshotFeed('here');
  const copy = new FeedCopy();
  const follow = () => {
    for (const text of feed.since(copy.place)) copy.take(JSON.parse(text) as FeedLine);
    return new Map(copy.whole()?.keys).has(sha256Hex(readerKey));
  };
  const publisher = await snapshotPublisher({
    ...here.deps,
    graceServes: true,
    tickMs: SHARED_TICK_MS,
    apply: (snapshot) => feed.publish(snapshot),
  });
  expect(follow()).toBe(true);
  await there.call(keyRevoke, manager, { keyId });
  await expect.poll(follow, { timeout: 20_000 }).toBe(false);
  // One look a second leaves another for the snapshot and the way.
  expect(SHARED_TICK_MS).toBeLessThanOrEqual(1_000);
  await publisher.stop();
  for (const control of [here, there]) await control.store.close();
});
