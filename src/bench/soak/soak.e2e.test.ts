import { expect, test } from 'vitest';
import { check } from './check.ts';
import { simulate } from './simulate.ts';

test('four months: terms end, renew by themselves, are reclaimed; wallets run dry', async () => {
  const { mortal, events } = await simulate({ days: 120, tenants: 3, deathPercent: 10, seed: 6 });
  expect(await check(mortal.store.db, events), 'seed 6').toEqual([]);
  const notices = await mortal.store.db.selectFrom('notices').select('kind').distinct().execute();
  expect(notices.map((row) => row.kind)).toEqual(
    expect.arrayContaining(['expiring', 'expired', 'reclaimed', 'renewed', 'overdue', 'overdue_reclaimed']),
  );
  await mortal.store.close();
});
