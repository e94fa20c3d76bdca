import { beforeEach, describe, expect, test } from 'vitest';
import { notify } from '../../store/notices.ts';
import { newId } from '../call.ts';
import { OPERATOR, refusal, type TestControl, type TestTenant, testControl } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { at } from '../prepaid/fixture.ts';
import { noticeList } from './list.ts';
import { noticeMarkRead } from './mark-read.ts';
import { noticePreferences } from './preferences.ts';
import { noticeSetPreferences } from './set-preferences.ts';

let control: TestControl;
let tenant: TestTenant;
beforeEach(async () => {
  control = await testControl();
  tenant = await control.tenant('10000');
});

const inbox = (input: object = {}) => control.call(noticeList, tenant.reader, { limit: 200, ...input });
const tell = (subject: string, dueAtMs: number, tenantId = tenant.tenantId) =>
  control.store.db
    .transaction()
    .execute((trx) =>
      notify(
        trx,
        { now: () => control.nowMs, newId },
        { tenantId, kind: 'expired', subject, dueAtMs, detail: { expiresAtMs: dueAtMs } },
      ),
    );

describe('the inbox', () => {
  test('says what is unread, in words, and marks one, some or all that were due', async () => {
    for (const n of [1, 2, 3, 4]) await tell(`ig-${n}`, at(`2026-04-0${n}T12:00`));
    const { items, unread } = await inbox();
    expect(unread).toBe(4);
    expect(items[0]).toMatchObject({ subject: 'ig-4', readAtMs: null, title: 'Prepaid units have expired' });
    expect(items[0]?.text).toContain('2026-04-04 12:00 (Asia/Shanghai)');
    const mark = (input: object) => control.call(noticeMarkRead, tenant.manager, input);
    expect(await mark({ noticeIds: [items[0]!.noticeId] })).toEqual({ marked: 1, unread: 3 });
    expect(await mark({ noticeIds: [items[0]!.noticeId] })).toEqual({ marked: 0, unread: 3 });
    expect(await mark({ dueByMs: at('2026-04-02T12:00') })).toEqual({ marked: 2, unread: 1 });
    expect((await inbox({ unread: true })).items.map(({ subject }) => subject)).toEqual(['ig-3']);
    expect((await inbox()).items.map(({ readAtMs }) => readAtMs !== null)).toEqual([true, false, true, true]);
  });

  test('one of another tenant among them: none is marked', async () => {
    const other = await control.tenant();
    await tell('ig-1', 1);
    await tell('ig-2', 1, other.tenantId);
    const ids = (await control.call(noticeList, OPERATOR, {})).items.map(({ noticeId }) => noticeId);
    expect(ids).toHaveLength(2);
    const answer = await refusal(control.call(noticeMarkRead, tenant.manager, { noticeIds: ids }));
    expect(answer.code).toBe('not_found');
    expect((await inbox()).unread).toBe(1);
  });

  test.each([{}, { noticeIds: [] }, { noticeIds: ['ntc-1'], dueByMs: 1 }, { dueByMs: 'today' }])(
    'marking %j is refused',
    async (input) => {
      const answer = await refusal(control.call(noticeMarkRead, tenant.manager, input as never));
      expect(answer.code).toBe('invalid_request');
    },
  );
});

describe('bills', () => {
  const bills = async () => (await inbox({ kind: 'bill_issued' })).items.reverse();
  const until = async (time: string) => {
    control.nowMs = at(time);
    await runJobs(control);
  };
  const prefer = (told: 'each' | 'daily' | 'monthly' | 'off') =>
    control.call(noticeSetPreferences, tenant.manager, { bills: told });
  /** One unit of 3.60 an hour from 29 April, 09:00. */
  beforeEach(async () => {
    control.nowMs = at('2026-04-29T09:00');
    await control.endpoint(tenant.manager);
    await control.provisioned();
  });

  test('are told once a month unless asked otherwise: the hours of the month, when the last of them is billed', async () => {
    await until('2026-05-01T01:59');
    expect(await bills()).toEqual([]);
    await until('2026-05-02T00:00');
    const amount = { amount: (39 * 3.6).toFixed(6), currency: 'CNY' };
    expect(await bills()).toMatchObject([{ dueAtMs: at('2026-05-01T02:00'), detail: { bills: 39, amount } }]);
    const waiting = await control.store.db.selectFrom('bill_digests').selectAll().execute();
    expect(waiting).toMatchObject([{ from_ms: at('2026-05-01T00:00'), due_ms: at('2026-06-01T02:00') }]);
  });

  test('each, a sum a day, or never', async () => {
    await prefer('each');
    await until('2026-04-29T11:30');
    expect(await bills()).toMatchObject([{ detail: { bills: 1, amount: { amount: '3.600000' } } }]);
    await prefer('daily');
    await until('2026-05-01T03:00');
    expect((await bills()).slice(1)).toMatchObject([
      { dueAtMs: at('2026-04-30T02:00'), detail: { bills: 14 } },
      { dueAtMs: at('2026-05-01T02:00'), detail: { bills: 24 } },
    ]);
    await prefer('off');
    await until('2026-05-03T00:00');
    expect(await bills()).toHaveLength(3);
    expect(await control.store.db.selectFrom('bill_digests').selectAll().execute()).toEqual([]);
  });

  test('what waited for the end of the month is told at the end of the day when that is asked for', async () => {
    await until('2026-04-29T12:00');
    await prefer('daily');
    await until('2026-04-30T02:00');
    expect(await bills()).toMatchObject([{ detail: { bills: 15 } }]);
  });
});

test('an order that fails says so', async () => {
  const { groups } = await control.endpoint(tenant.manager);
  const provisioner = control.provisioner();
  await provisioner.reconcile();
  for (const { replicaId } of control.fleet.list()) control.fleet.become(replicaId, 'failed', 'no memory');
  await provisioner.reconcile();
  const { items } = await inbox();
  expect(items).toMatchObject([{ kind: 'order_failed', detail: { groupId: groups[0]?.groupId, units: 1 } }]);
  expect(items[0]?.text).toContain('no memory');
});

test('preferences: English and monthly until said otherwise', async () => {
  const read = () => control.call(noticePreferences, tenant.reader, {});
  expect(await read()).toEqual({ tenantId: tenant.tenantId, language: 'en', bills: 'monthly' });
  await control.call(noticeSetPreferences, tenant.manager, { language: 'zh-CN' });
  expect(await read()).toMatchObject({ language: 'zh-CN', bills: 'monthly' });
  const wrong = control.call(noticeSetPreferences, tenant.manager, { language: 'tlh' as never });
  expect((await refusal(wrong)).code).toBe('invalid_request');
});
