import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { smolMatrices } from '../../test/smol-matrices.ts';
import { writeAdapter } from '../model-files/write-adapter.ts';
import { testDatabase } from '../store/fixture.ts';
import { balanceMicros, checkLedger } from '../store/ledger.ts';
import { openStore } from '../store/store.ts';
import { adapterAdd } from './adapter/add.ts';
import { adapterList } from './adapter/list.ts';
import { settle } from './billing/settle.ts';
import { newId } from './call.ts';
import { endpointDelete } from './endpoint/delete.ts';
import { OPERATOR, TestControl } from './fixture.ts';
import { LIVE_GROUP_STATES } from './internal.ts';
import { modelRegister } from './model/register.ts';
import { modelRegistered } from './model/registered.ts';
import { modelRemove } from './model/remove.ts';
import { orderNew } from './order/new.ts';
import { orderResize } from './order/resize.ts';
import { orderUnsubscribe } from './order/unsubscribe.ts';
import { walletTopUp } from './wallet/top-up.ts';

/** Control planes that share one PostgreSQL, each with connections of its own: races that SQLite's one connection hides. */
const ROUNDS = 5;

async function twoControls(): Promise<[TestControl, TestControl]> {
  const database = await testDatabase();
  return [new TestControl(await openStore(database)), new TestControl(await openStore(database))];
}

/** Codes of those that were refused, and how many were not. */
async function outcomes(calls: Promise<unknown>[]): Promise<{ done: number; refused: string[] }> {
  const ends = await Promise.allSettled(calls);
  const refused = ends.flatMap((end) => (end.status === 'rejected' ? [(end.reason as { code: string }).code] : []));
  return { done: ends.length - refused.length, refused: refused.toSorted() };
}

async function close(...controls: TestControl[]): Promise<void> {
  expect(await checkLedger(controls[0]!.store.db)).toMatchObject({ balanced: true, problems: [] });
  for (const control of controls) {
    expect(control.errors).toEqual([]);
    await control.store.close();
  }
}

describe('two control planes at once', () => {
  test.each(['idempotency key', 'reference'])('a top-up sent many times under one %s is booked once', async (by) => {
    const [a, b] = await twoControls();
    const { tenantId } = await a.tenant('0');
    const isKey = by === 'idempotency key';
    const input = { tenantId, amount: '12.50', ...(isKey ? {} : { reference: 'payment 7' }) };
    const calls = Array.from({ length: 12 }, (_, i) =>
      (i % 2 === 0 ? a : b).call(walletTopUp, OPERATOR, input, isKey ? 'once' : null),
    );
    const answers = await Promise.all(calls);
    expect(new Set(answers.map((answer) => answer.transactionId)).size).toBe(1);
    expect(await balanceMicros(a.store.db, tenantId)).toBe(12_500_000n);
    await close(a, b);
  });

  test('one key with two bodies books one of them', async () => {
    const [a, b] = await twoControls();
    const { tenantId } = await a.tenant('0');
    const ends = await outcomes([
      a.call(walletTopUp, OPERATOR, { tenantId, amount: '1' }, 'once'),
      b.call(walletTopUp, OPERATOR, { tenantId, amount: '2' }, 'once'),
    ]);
    expect(ends).toEqual({ done: 1, refused: ['idempotency_conflict'] });
    await close(a, b);
  });

  test('of orders whose hour the wallet covers once, one is taken', async () => {
    const [a, b] = await twoControls();
    a.fleet.slots = b.fleet.slots = 1000;
    for (let round = 0; round < ROUNDS; round++) {
      const { manager } = await a.tenant('10.90'); // an hour of three units costs 10.80
      const one = await a.endpoint(manager, 1, 'one');
      const two = await a.endpoint(manager, 1, 'two');
      const order = (control: TestControl, { endpointId }: { endpointId: string }) =>
        control.call(orderNew, manager, { endpointId, units: 1 });
      const ends = await outcomes([order(a, one), order(b, two), order(a, two), order(b, one)]);
      expect(ends).toEqual({ done: 1, refused: ['payment_required', 'payment_required', 'payment_required'] });
    }
    await close(a, b);
  });

  test('of two endpoints with one name, one is made', async () => {
    const [a, b] = await twoControls();
    const { manager } = await a.tenant();
    const ends = await outcomes([a.endpoint(manager), b.endpoint(manager), a.endpoint(manager), b.endpoint(manager)]);
    expect(ends).toEqual({ done: 1, refused: ['conflict', 'conflict', 'conflict'] });
    await close(a, b);
  });

  test('of registrations of one name, one is made; an adapter that is added is not removed', async () => {
    const [a, b] = await twoControls();
    const folder = mkdtempSync(join(tmpdir(), 'cubit-test-'));
    for (const control of [a, b]) control.modelFolders.push(folder);
    const source = join(folder, 'a.gguf');
    await writeAdapter(source, smolMatrices(), { rank: 4, alpha: 4, seed: 1, scale: 0.01 });
    for (let round = 0; round < ROUNDS; round++) {
      const { manager } = await a.tenant();
      await a.endpoint(manager);
      const model = { name: 'mine', baseModelId: 'alpha', source };
      const ends = await outcomes([a, b, a, b].map((control) => control.call(modelRegister, manager, model)));
      expect(ends).toEqual({ done: 1, refused: ['conflict', 'conflict', 'conflict'] });
      const raced = await outcomes([
        a.call(adapterAdd, manager, { endpointId: 'chat', modelId: 'mine' }),
        b.call(modelRemove, manager, { modelId: 'mine' }),
      ]);
      expect(raced.done).toBe(1);
      const live = (await a.call(modelRegistered, manager, {})).items.length;
      expect((await a.call(adapterList, manager, { endpointId: 'chat' })).items).toHaveLength(live);
    }
    rmSync(folder, { recursive: true });
    await close(a, b);
  });

  test('unsubscribing and resizing: the group ends whole, whoever was first', async () => {
    const [a, b] = await twoControls();
    a.fleet.slots = b.fleet.slots = 1000;
    for (let round = 0; round < ROUNDS; round++) {
      const { manager } = await a.tenant();
      const { groups } = await a.endpoint(manager, 2);
      await a.provisioned();
      const { groupId } = groups[0]!;
      const units = round % 2 === 0 ? 3 : 1;
      const ends = await outcomes([
        b.call(orderResize, manager, { groupId, units }),
        a.call(orderUnsubscribe, manager, { groupId }),
      ]);
      expect(ends.refused.every((code) => code === 'invalid_transition')).toBe(true);
      expect(ends.done).toBeGreaterThanOrEqual(1);
      const { db } = a.store;
      const group = await db
        .selectFrom('instance_groups')
        .selectAll()
        .where('id', '=', groupId)
        .executeTakeFirstOrThrow();
      expect(group).toMatchObject({ state: 'unsubscribed', ended_at_ms: expect.any(Number) });
      const pending = db
        .selectFrom('orders')
        .select('id')
        .where('group_id', '=', groupId)
        .where('state', '=', 'provisioning');
      expect(await pending.execute()).toEqual([]);
    }
    await close(a, b);
  });

  test('no group is bought on an endpoint that is being deleted', async () => {
    const [a, b] = await twoControls();
    a.fleet.slots = b.fleet.slots = 1000;
    for (let round = 0; round < ROUNDS; round++) {
      const { manager } = await a.tenant();
      const { endpointId, groups } = await a.endpoint(manager);
      await a.call(orderUnsubscribe, manager, { groupId: groups[0]!.groupId });
      const ends = await outcomes([
        a.call(endpointDelete, manager, { endpointId }),
        b.call(orderNew, manager, { endpointId, units: 1 }),
      ]);
      expect(ends.done).toBe(1);
      const stranded = await a.store.db
        .selectFrom('instance_groups')
        .innerJoin('endpoints', 'endpoints.id', 'endpoint_id')
        .select('instance_groups.id')
        .where('deleted_at_ms', 'is not', null)
        .where('state', 'in', LIVE_GROUP_STATES)
        .execute();
      expect(stranded).toEqual([]);
    }
    await close(a, b);
  });

  test('settlers at once issue each bill once', async () => {
    const [a, b] = await twoControls();
    a.fleet.slots = 1000;
    for (let tenant = 0; tenant < 4; tenant++) await a.endpoint((await a.tenant()).manager, 1 + tenant);
    await a.provisioned();
    b.nowMs = a.nowMs += 7 * 3_600_000;
    const runs = await Promise.all(
      [a, b, a, b].map(({ store, nowMs }) => settle({ db: store.db, now: () => nowMs, newId })),
    );
    expect(runs.flatMap((run) => run.failures)).toEqual([]);
    expect(runs.reduce((sum, run) => sum + run.bills, 0)).toBe(4 * 6);
    const bills = await a.store.db.selectFrom('bills').select(['tenant_id', 'hour_from_ms']).execute();
    expect(new Set(bills.map((bill) => `${bill.tenant_id} ${bill.hour_from_ms}`)).size).toBe(4 * 6);
    await close(a, b);
  });
});
