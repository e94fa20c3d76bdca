import type { Receipt } from '../../core/commerce/metering.ts';
import { newId } from '../call.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { OPERATOR, type TestControl, type TestTenant, testControl } from '../fixture.ts';
import { takeInCatalog } from '../price-book/take-in.ts';
import { receipt } from '../usage/fixture.ts';
import { poolCreate } from './create.ts';

export interface PoolWorld {
  readonly control: TestControl;
  readonly poolId: string;
}

/** A control plane whose store has the price book, with a pool of two units of alpha. */
export async function poolWorld(): Promise<PoolWorld> {
  const control = await testControl();
  await takeInCatalog({ ...control.deps, newId });
  const { poolId } = await control.call(poolCreate, OPERATOR, { modelId: 'alpha', units: 2 });
  await control.provisioned();
  return { control, poolId };
}

export function endpointByToken(control: TestControl, tenant: TestTenant, name = 'tokens') {
  const models = [{ modelId: 'alpha' }];
  return control.call(endpointCreate, tenant.manager, { name, accessMode: 'pay_per_token', models });
}

/** Receipts as the gateway writes them of requests to an endpoint on the pool; numbered from `from`. */
export function tokenReceipts(
  { poolId }: Pick<PoolWorld, 'poolId'>,
  of: { readonly tenantId: string; readonly endpointId: string },
  changes: readonly Partial<Receipt>[],
  from = 1,
): Receipt[] {
  return changes.map((change, i) => receipt(from + i, { ...of, servedModelId: poolId, ...change }));
}
