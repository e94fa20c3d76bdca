import { newId } from '../call.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { type TestControl, type TestTenant, testControl } from '../fixture.ts';
import { requireTenant } from '../internal.ts';
import { walletShow } from '../wallet/show.ts';
import { recogniseUntil } from './recognise.ts';

export const DAY_MS = 86_400_000;
export const at = (time: string) => Date.parse(`${time}+08:00`);
/** Two units of 1,728.00 a month. */
export const prepaid = { modelId: 'alpha', units: 2, billingType: 'prepaid' as const, months: 1 };

/** A tenant with money for prepaid units, on 13 April 2026, 09:00 in Shanghai. */
export async function prepaidWorld(credit = '20000') {
  const control = await testControl();
  const tenant = await control.tenant(credit);
  return { control, tenant };
}

/** An endpoint `chat` with a prepaid group that is active; its id. */
export async function buy(control: TestControl, { manager }: TestTenant, wanted: object = {}): Promise<string> {
  const models = [{ ...prepaid, ...wanted }];
  const made = await control.call(endpointCreate, manager, { name: 'chat', models });
  await control.provisioned();
  return made.groups[0]!.groupId;
}

export async function balanceOf(control: TestControl, { manager }: TestTenant): Promise<string> {
  return (await control.call(walletShow, manager, {})).balance.amount;
}

export async function accountsOf(control: TestControl): Promise<Record<string, bigint>> {
  const rows = await control.store.db.selectFrom('ledger_entries').select(['account', 'amount_micros']).execute();
  const sums: Record<string, bigint> = {};
  for (const row of rows) sums[row.account] = (sums[row.account] ?? 0n) + row.amount_micros;
  return sums;
}

/** As the job does, up to now. */
export function recogniseNow(control: TestControl, { tenantId }: TestTenant): Promise<void> {
  return control.store.db.transaction().execute(async (trx) => {
    const row = await requireTenant(trx, tenantId);
    await recogniseUntil(trx, { now: () => control.nowMs, newId }, row, control.nowMs);
  });
}
