import { beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../store/schema.ts';
import { endpointCreate } from './endpoint/create.ts';
import { endpointPreview } from './endpoint/preview.ts';
import { OPERATOR, refusal, type TestControl, type TestTenant } from './fixture.ts';
import { orderNew } from './order/new.ts';
import { orderPreviewRenew } from './order/preview-renew.ts';
import { orderPreviewResize } from './order/preview-resize.ts';
import { orderRenew } from './order/renew.ts';
import { orderResize } from './order/resize.ts';
import { buy, prepaidWorld } from './prepaid/fixture.ts';
import { tenantCreate } from './tenant/create.ts';
import { walletTopUp } from './wallet/top-up.ts';

/** Everything that money or a promise is written to. What is refused has to leave all of it as it was. */
const TABLES = [
  ...([
    'tenants',
    'endpoints',
    'served_models',
    'orders',
    'instance_groups',
    'group_segments',
    'prepaid_terms',
  ] as const),
  ...(['prepaid_lots', 'lot_closings', 'ledger_transactions', 'ledger_entries', 'idempotency', 'audit'] as const),
] satisfies readonly (keyof Database)[];

let control: TestControl;
let tenant: TestTenant;
/** A prepaid group of two units on `chat`. */
let groupId: string;
beforeEach(async () => {
  ({ control, tenant } = await prepaidWorld());
  groupId = await buy(control, tenant);
});

async function everything(): Promise<string> {
  const rows: unknown[] = [];
  for (const table of TABLES) rows.push(table, await control.store.db.selectFrom(table).selectAll().execute());
  return JSON.stringify(rows, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));
}

/** The code of the refusal, after which nothing is different. */
async function refused(work: () => Promise<unknown>): Promise<string> {
  const before = await everything();
  const { code } = await refusal(work());
  expect(await everything()).toBe(before);
  return code;
}

const QUANTITIES = [0, -1, -0.5, 1.5, 10_001, 2 ** 53, 1e21, Number.NaN, Number.POSITIVE_INFINITY, '2', null, [2]];

describe.each([
  [
    'endpoint.create',
    (units: never) => control.call(endpointCreate, tenant.manager, { name: 'x', models: [model(units)] }),
  ],
  ['endpoint.preview', (units: never) => control.call(endpointPreview, tenant.manager, { models: [model(units)] })],
  ['order.new', (units: never) => control.call(orderNew, tenant.manager, { endpointId: 'chat', units })],
  ['order.resize', (units: never) => control.call(orderResize, tenant.manager, { groupId, units })],
  ['order.preview-resize', (units: never) => control.call(orderPreviewResize, tenant.manager, { groupId, units })],
])('%s', (_name, order) => {
  test.each(QUANTITIES)('%s units are refused', async (units) => {
    expect(await refused(() => order(units as never))).toBe('invalid_request');
  });
});

function model(units: never) {
  return { modelId: 'alpha', units };
}

describe('terms', () => {
  test.each([0, -1, 1.5, 37, 1e9, 2 ** 53, Number.NaN, '1'])('%s months are no term', async (months) => {
    const wrong = { months: months as number };
    const prepaid = { endpointId: 'chat', units: 1, billingType: 'prepaid' as const };
    expect(await refused(() => control.call(orderRenew, tenant.manager, { groupId, ...wrong }))).toBe(
      'invalid_request',
    );
    expect(await refused(() => control.call(orderPreviewRenew, tenant.manager, { groupId, ...wrong }))).toBe(
      'invalid_request',
    );
    expect(await refused(() => control.call(orderNew, tenant.manager, { ...prepaid, ...wrong }))).toBe(
      'invalid_request',
    );
  });

  test('a term that is over cannot be renewed, nor one bought further ahead than five years', async () => {
    await control.call(walletTopUp, OPERATOR, { tenantId: tenant.tenantId, amount: '1000000' });
    await control.call(orderRenew, tenant.manager, { groupId, months: 36 });
    expect(await refused(() => control.call(orderRenew, tenant.manager, { groupId, months: 36 }))).toBe(
      'invalid_request',
    );
    control.nowMs += 4 * 366 * 86_400_000;
    expect(await refused(() => control.call(orderRenew, tenant.manager, { groupId, months: 1 }))).toBe(
      'invalid_transition',
    );
  });
});

describe('money', () => {
  test.each([
    '0',
    '0.000000',
    '-1',
    '+1',
    '1e3',
    '0.0000001',
    '1,5',
    ' 1',
    '0x10',
    'NaN',
    '99999999999',
    '1000000000.000001',
  ])('a top-up of %j is refused', async (amount) => {
    const topUp = () => control.call(walletTopUp, OPERATOR, { tenantId: tenant.tenantId, amount });
    expect(await refused(topUp)).toBe('invalid_request');
  });

  test('a currency is the price book’s, never the caller’s', async () => {
    const wanted = { name: 'x', currency: 'EUR' } as never;
    expect(await refused(() => control.call(tenantCreate, OPERATOR, wanted))).toBe('invalid_request');
    const topUp = { tenantId: tenant.tenantId, amount: '1', currency: 'XXX' } as never;
    expect(await refused(() => control.call(walletTopUp, OPERATOR, topUp))).toBe('invalid_request');
  });
});

describe('replays and races', () => {
  test('an idempotency key that comes again with another body is a conflict, 409', async () => {
    const { endpointId } = await control.store.db
      .selectFrom('endpoints')
      .select('id as endpointId')
      .executeTakeFirstOrThrow();
    const order = (units: number) => control.call(orderNew, tenant.manager, { endpointId, units }, 'once');
    await order(1);
    expect(await refused(() => order(2))).toBe('idempotency_conflict');
    const renew = () => control.call(orderRenew, tenant.manager, { groupId, months: 1 }, 'once');
    expect(await refused(renew)).toBe('idempotency_conflict');
    const over = await control.http('POST', `/api/v1/endpoints/${endpointId}/orders`, {
      token: tenant.managerKey,
      headers: { 'idempotency-key': 'once' },
      body: { units: 3 },
    });
    expect([over.status, over.body['error'].code]).toEqual([409, 'idempotency_conflict']);
  });

  test('a preview that is too old, of a clock since set back, or of other units places nothing', async () => {
    const { quoteId } = await control.call(orderPreviewResize, tenant.manager, { groupId, units: 3 });
    const place = (units = 3) => control.call(orderResize, tenant.manager, { groupId, units, quoteId });
    expect(await refused(() => place(4))).toBe('quote_changed');
    control.nowMs += 600_001;
    expect(await refused(() => place())).toBe('quote_changed');
    control.nowMs -= 600_002;
    expect(await refused(() => place())).toBe('quote_changed');
    expect(await refused(() => control.call(orderResize, tenant.manager, { groupId, units: 3, quoteId: 'q-1' }))).toBe(
      'invalid_request',
    );
  });

  test('of two edits at once one is made, the other is told', async () => {
    const resize = (units: number) => control.call(orderResize, tenant.manager, { groupId, units });
    const edits = await Promise.allSettled([resize(3), resize(4)]);
    const codes = edits.map((edit) => (edit.status === 'rejected' ? (edit.reason as { code: string }).code : 'made'));
    expect(codes.toSorted()).toEqual(['invalid_transition', 'made']);
  });
});
