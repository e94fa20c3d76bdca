import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { refusal, type TestControl, type TestTenant } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { orderNew } from '../order/new.ts';
import { orderPreviewResize } from '../order/preview-resize.ts';
import { orderResize } from '../order/resize.ts';
import { at, balanceOf, buy, prepaidWorld } from '../prepaid/fixture.ts';
import { statementShow } from './show.ts';

let control: TestControl;
let tenant: TestTenant;
beforeEach(async () => {
  ({ control, tenant } = await prepaidWorld());
});
afterEach(async () => {
  expect(await checkLedger(control.store.db)).toMatchObject({ balanced: true, problems: [] });
});

const show = (month: string) => control.call(statementShow, tenant.reader, { month });
const micros = (amount: string) => BigInt(amount.replace('.', ''));

test('opening + movements = closing, month after month, and the groups are the revenue', async () => {
  const groupId = await buy(control, tenant, { autoRenewMonths: 1 });
  const { group } = await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
  await control.provisioned();
  control.nowMs = at('2026-04-30T12:00');
  await runJobs(control);
  const { quoteId } = await control.call(orderPreviewResize, tenant.manager, { groupId, units: 1 });
  await control.call(orderResize, tenant.manager, { groupId, units: 1, quoteId });
  control.nowMs = at('2026-06-01T00:00');
  await runJobs(control);
  let closing: Record<string, string> = {
    wallet: '0.000000',
    cash: '0.000000',
    unearned: '0.000000',
    revenue: '0.000000',
  };
  for (const month of ['2026-03', '2026-04', '2026-05', '2026-06']) {
    const statement = await show(month);
    const revenue = statement.accounts.find((account) => account.account === 'revenue')!;
    for (const { account, opening, movements, closing: end } of statement.accounts) {
      expect(opening.amount).toBe(closing[account]);
      const moved = movements.reduce((sum, one) => sum + micros(one.amount.amount), 0n);
      expect(micros(opening.amount) + moved).toBe(micros(end.amount));
    }
    expect(micros(revenue.closing.amount) - micros(revenue.opening.amount)).toBe(micros(statement.cost.amount));
    closing = Object.fromEntries(statement.accounts.map((account) => [account.account, account.closing.amount]));
  }
  expect(closing['wallet']).toBe(await balanceOf(control, tenant));
  expect((await show('2026-05')).groups).toMatchObject([
    { groupId: group.groupId, billingType: 'postpaid', unitSeconds: 31 * 86_400 },
    { groupId, billingType: 'prepaid', unitSeconds: null },
  ]);
});

test.each(['2026-13', '2026-00', '26-04', '2026-4'])('%s is no month', async (month) => {
  expect((await refusal(show(month))).code).toBe('invalid_request');
});
