import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { insertReceipts } from '../../store/receipts.ts';
import { OPERATOR, refusal, type TestControl, type TestTenant } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { keyCreate } from '../key/create.ts';
import { keyList } from '../key/list.ts';
import { keyUpdate } from '../key/update.ts';
import { orderNew } from '../order/new.ts';
import { orderPreviewResize } from '../order/preview-resize.ts';
import { orderResize } from '../order/resize.ts';
import { at, buy, prepaidWorld } from '../prepaid/fixture.ts';
import { statementShow } from '../statement/show.ts';
import { receipt } from '../usage/fixture.ts';
import { chargebackShow } from './show.ts';

let control: TestControl;
let tenant: TestTenant;
let keys: { a: string; b: string; c: string };
let requests = 0;
beforeEach(async () => {
  ({ control, tenant } = await prepaidWorld());
  const key = async (name: string, label: string[] = []) =>
    (await control.call(keyCreate, tenant.manager, { name, label })).keyId;
  keys = { a: await key('a', ['team=search']), b: await key('b', ['team=ads', 'env=prod']), c: await key('c') };
});
afterEach(() => expect(control.errors).toEqual([]));

/** A request that ended then and took so many unit-seconds. */
async function work(keyId: string, time: string, seconds: number): Promise<void> {
  const served = await control.store.db.selectFrom('served_models').selectAll().executeTakeFirstOrThrow();
  requests += 1;
  await insertReceipts(control.store.db, [
    receipt(requests, {
      tenantId: tenant.tenantId,
      keyId,
      endpointId: served.endpoint_id,
      servedModelId: served.id,
      actual: { prefillUs: seconds * 400_000, decodeUs: seconds * 600_000 },
      endedAtMs: at(time),
    }),
  ]);
}
const until = async (time: string) => {
  control.nowMs = at(time);
  await runJobs(control);
};
const show = (input: object = {}) => control.call(chargebackShow, tenant.reader, { month: '2026-04', ...input });
type Answer = z.output<typeof chargebackShow.output>;
const micros = ({ amount }: { amount: string }) => BigInt(amount.replace('.', ''));
const figures = ({ items }: Answer) => items.map((item) => [item.id, item.used.amount, item.idle.amount]);
function addsUp(answer: Answer): Answer {
  const sum = answer.items.reduce((total, { total: part }) => total + micros(part), 0n);
  expect(sum).toBe(micros(answer.cost));
  expect(micros(answer.used) + micros(answer.idle)).toBe(micros(answer.cost));
  for (const { used, idle, total } of answer.items) expect(micros(used) + micros(idle)).toBe(micros(total));
  return answer;
}

describe('a postpaid unit of 3.60 an hour from 09:00', () => {
  beforeEach(async () => {
    await control.endpoint(tenant.manager);
    await control.provisioned();
    await work(keys.a, '2026-04-13T09:10', 600);
    await work(keys.b, '2026-04-13T09:59', 300);
    await work(keys.a, '2026-04-13T11:00', 3600);
    await until('2026-04-13T13:30');
  });

  test('each hour is split by its own work, used and idle; hours without work are nobody’s', async () => {
    const answer = addsUp(await show());
    expect(answer.cost).toEqual({ amount: '10.800000', currency: 'CNY' });
    // 09: 0.6 + 1.8 and 0.3 + 0.9; 10: nobody; 11: all used by a.
    expect(figures(answer)).toEqual([
      [keys.a, '4.200000', '1.800000'],
      [keys.b, '0.300000', '0.900000'],
      [null, '0.000000', '3.600000'],
    ]);
    expect(answer.items[0]).toMatchObject({ kind: 'key', name: 'a', requests: 2, unitSeconds: 4200 });
  });

  test('by the values of a label, keys without it together; labels of now count', async () => {
    await work(keys.c, '2026-04-13T10:30', 36);
    const byTeam = addsUp(await show({ by: 'label:team' }));
    expect(byTeam.items.map(({ kind, id }) => [kind, id])).toEqual([
      ['label', 'search'],
      ['unlabelled', null],
      ['label', 'ads'],
    ]);
    await control.call(keyUpdate, tenant.manager, { keyId: keys.c, label: ['team=search'] });
    await control.call(keyUpdate, tenant.manager, { keyId: keys.a, unlabel: ['team'] });
    expect(figures(addsUp(await show({ by: 'label:team' }))).map(([id]) => id)).toEqual([null, 'search', 'ads']);
  });

  test('a span of hours is its bills, and spans add up', async () => {
    const hours = ['09', '10', '11', '12'].map((hour) => at(`2026-04-13T${hour}:00`));
    const parts = [];
    for (const [i, fromMs] of hours.slice(0, -1).entries()) {
      parts.push(addsUp(await show({ month: undefined, fromMs, toMs: hours[i + 1] })));
    }
    expect(parts.map(({ cost }) => cost.amount)).toEqual(['3.600000', '3.600000', '3.600000']);
    const all = addsUp(await show({ month: undefined, fromMs: hours[0], toMs: hours.at(-1) }));
    expect(figures(all)).toEqual(figures(await show()));
    const used = parts.reduce((sum, part) => sum + micros(part.used), 0n);
    expect(used).toBe(micros(all.used));
  });

  test('as CSV', async () => {
    const path = `/api/v1/chargeback?month=2026-04&by=label:team`;
    const reply = await control.http('GET', path, { token: tenant.readerKey, headers: { accept: 'text/csv' } });
    expect(reply.body['text'].split('\r\n').slice(0, 2)).toEqual([
      'kind,id,name,requests,unitSeconds,used.amount,used.currency,idle.amount,idle.currency,total.amount,total.currency',
      'label,search,search,2,4200,4.200000,CNY,1.800000,CNY,6.000000,CNY',
    ]);
  });
});

test('prepaid days, postpaid hours and units given back: all that the statement says was earned', async () => {
  const groupId = await buy(control, tenant, { autoRenewMonths: 1 });
  await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
  await control.provisioned();
  await work(keys.a, '2026-04-13T12:00', 1000);
  await work(keys.b, '2026-04-14T12:00', 77);
  await work(keys.b, '2026-04-15T10:00', 13);
  await until('2026-04-15T12:00');
  const { quoteId } = await control.call(orderPreviewResize, tenant.manager, { groupId, units: 1 });
  await control.call(orderResize, tenant.manager, { groupId, units: 1, quoteId });
  await until('2026-04-16T00:30');
  const answer = addsUp(await show());
  const statement = await control.call(statementShow, tenant.reader, { month: '2026-04' });
  // Both say what was billed and earned so far.
  expect(answer.cost).toEqual(statement.cost);
  expect(answer.items.map(({ id }) => id)).toContain(keys.b);
  // What is kept for giving back early buys no time: it is nobody's.
  const { penalty_micros } = await control.store.db.selectFrom('lot_closings').selectAll().executeTakeFirstOrThrow();
  const unallocated = answer.items.find(({ kind }) => kind === 'unallocated');
  expect(micros(unallocated!.total)).toBeGreaterThanOrEqual(penalty_micros);
  expect(penalty_micros).toBeGreaterThan(0n);
});

test('receipts that come twice count once', async () => {
  await control.endpoint(tenant.manager);
  await control.provisioned();
  await work(keys.a, '2026-04-13T09:10', 60);
  requests -= 1;
  await work(keys.a, '2026-04-13T09:10', 60);
  const rows = await control.store.db.selectFrom('usage_quarters').selectAll().execute();
  expect(rows).toMatchObject([{ from_ms: at('2026-04-13T09:00'), requests: 1, prefill_us: 24_000_000 }]);
});

test.each([
  { month: '2026-13' },
  { month: 'April' },
  { fromMs: 1 },
  { month: undefined, fromMs: 5, toMs: 1 },
  { month: undefined, fromMs: 0, toMs: 40 * 86_400_000 },
  { month: undefined, toMs: 5 },
  { by: 'team' },
  { by: 'label:' },
])('%j is refused', async (input) => {
  expect((await refusal(show(input))).code).toBe('invalid_request');
});

test('an endpoint of another tenant, by id or name, is not there', async () => {
  const other = await control.tenant();
  const { endpointId } = await control.endpoint(other.manager, 1, 'theirs');
  expect((await refusal(show({ endpointId }))).code).toBe('not_found');
  expect((await refusal(show({ endpointId: 'theirs' }))).code).toBe('not_found');
  expect((await refusal(control.call(chargebackShow, OPERATOR, {}))).code).toBe('invalid_request');
});

describe('labels of keys', () => {
  test('are set, replaced, taken away and listed', async () => {
    const { keyId } = await control.call(keyCreate, tenant.manager, { name: 'x', label: ['team=search', 'env=dev'] });
    const changed = await control.call(keyUpdate, tenant.manager, {
      keyId,
      name: 'y',
      label: ['team=ads'],
      unlabel: ['env', 'none'],
    });
    expect(changed).toMatchObject({ name: 'y', labels: { team: 'ads' } });
    const { items } = await control.call(keyList, tenant.manager, {});
    expect(items.find((key) => key.keyId === keyId)).toMatchObject({ name: 'y', labels: { team: 'ads' } });
  });

  test.each([
    {},
    { label: ['team'] },
    { label: ['=x'] },
    { label: ['a=b=c'] },
    { label: ['team='] },
    { label: ['te am=x'] },
  ])('%j is refused', async (input) => {
    const answer = await refusal(control.call(keyUpdate, tenant.manager, { keyId: keys.a, ...input }));
    expect(answer.code).toBe('invalid_request');
  });

  test('there is a most of them', async () => {
    const label = (n: number) => Array.from({ length: 8 }, (_, i) => `l${n}-${i}=x`);
    await control.call(keyUpdate, tenant.manager, { keyId: keys.c, label: label(1) });
    const more = control.call(keyUpdate, tenant.manager, { keyId: keys.c, label: label(2) });
    expect((await refusal(more)).code).toBe('invalid_request');
  });
});
