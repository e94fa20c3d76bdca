import type { EndpointSnapshot, ServedModelSnapshot } from '../../gateway/snapshot.ts';
import type { Row } from '../../store/schema.ts';
import type { Pool } from './pools.ts';

/** For endpoints that are paid by the token: the pool that serves them, their tenant's limits on it, and whether they may. */
export function sharedPools(
  limits: readonly Row<'token_limits'>[],
  pools: readonly { readonly pool: Pool; readonly model: ServedModelSnapshot }[],
) {
  const own = new Map(limits.map((row) => [keyOf(row.tenant_id, row.model_id), row]));
  const byModel = new Map(pools.map((one) => [one.pool.model_id, one]));
  return (
    { tenant_id, suspended_at_ms }: Row<'endpoints'>,
    modelId: string | undefined,
  ): Pick<EndpointSnapshot, 'servedModels' | 'rateLimit' | 'suspended'> => {
    const found = byModel.get(modelId ?? '');
    if (found === undefined) return { servedModels: [] };
    // All of a tenant's endpoints on one pool have their limits together.
    const key = keyOf(tenant_id, found.pool.model_id);
    const { requests_per_minute, tokens_per_minute } = own.get(key) ?? found.pool;
    return {
      servedModels: [found.model],
      rateLimit: { key, requestsPerMinute: requests_per_minute, tokensPerMinute: tokens_per_minute },
      suspended: suspended_at_ms !== null,
    };
  };
}

function keyOf(tenantId: string, modelId: string): string {
  return `${tenantId}/${modelId}`;
}
