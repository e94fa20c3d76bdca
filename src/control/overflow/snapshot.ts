import { isId } from '../../core/ids.ts';
import {
  type OverflowSnapshot,
  type SpillPrice,
  type SpillTarget,
  upstreamKey,
} from '../../gateway/overflow-snapshot.ts';
import { type EndpointSnapshot, endpointKey } from '../../gateway/snapshot.ts';
import type { Row } from '../../store/schema.ts';
import { tokenPriceOf } from '../pool/price.ts';
import type { Trx } from '../verb.ts';
import { configOf } from './config.ts';
import { allowedOf } from './schemas.ts';

export interface Overflows {
  /** Of an endpoint; undefined: it has only a policy. */
  of(endpoint: Row<'endpoints'>): OverflowSnapshot | undefined;
  /** Other people's servers as the endpoints that they are to the gateway, by their keys. */
  readonly upstreams: readonly (readonly [key: string, endpoint: EndpointSnapshot])[];
}

/** How endpoints overflow, for the gateway. In the snapshot's transaction. */
export async function readOverflows(trx: Trx, atMs: number): Promise<Overflows> {
  const rows = await trx.selectFrom('overflows').selectAll().execute();
  const upstreams = await trx.selectFrom('upstreams').selectAll().where('removed_at_ms', 'is', null).execute();
  const configs = new Map(rows.map((row) => [row.endpoint_id, configOf(row)]));
  const priceOf = await pricesOf(
    trx,
    [...configs.values()].flatMap(({ targets }) => targets),
    upstreams,
    atMs,
  );
  return {
    of(endpoint) {
      const config = configs.get(endpoint.id);
      if (config === undefined) return undefined;
      const { overflow_policy: policy, max_wait_ms: queueWaitMs, tenant_id: tenantId } = endpoint;
      const targets = config.targets.map((targetId): SpillTarget => {
        const key = isId('upstream', targetId)
          ? upstreamKey(targetId)
          : endpointKey(tenantId, isId('servedModel', targetId) ? endpoint.id : targetId);
        return { targetId, endpointKey: key, price: priceOf(targetId) };
      });
      const { reasons, spillAfterMs, budget } = config;
      const allowed = allowedOf(config.allow, policy);
      return { policy, allowed, queueWaitMs, spillAfterMs, reasons, targets, budgetMicros: budget?.micros ?? null };
    },
    upstreams: upstreams.map((row) => [upstreamKey(row.id), upstreamEndpoint(row)] as const),
  };
}

async function pricesOf(
  trx: Trx,
  targetIds: readonly string[],
  upstreams: readonly Row<'upstreams'>[],
  atMs: number,
): Promise<(targetId: string) => SpillPrice | null> {
  const prices = new Map(
    upstreams.map((row) => [row.id, inNumbers(row.input_micros, row.cached_micros, row.output_micros)]),
  );
  if (targetIds.length > 0) {
    const pooled = await trx
      .selectFrom('endpoints')
      .innerJoin('served_models', 'served_models.endpoint_id', 'endpoints.id')
      .select(['endpoints.id', 'served_models.model_id'])
      .where('endpoints.id', 'in', targetIds)
      .where('endpoints.access_mode', '=', 'pay_per_token')
      .execute();
    for (const { id, model_id } of pooled) {
      const price = await tokenPriceOf(trx, model_id, atMs);
      if (price !== null) prices.set(id, inNumbers(price.inputMicros, price.cachedMicros, price.outputMicros));
    }
  }
  return (targetId) => prices.get(targetId) ?? null;
}

function inNumbers(input: bigint, cached: bigint, output: bigint): SpillPrice {
  return { inputMicros: Number(input), cachedMicros: Number(cached), outputMicros: Number(output) };
}

/** It takes no unit of ours: no work, as many sequences as its owner allows, one replica that is always ready. */
function upstreamEndpoint(row: Row<'upstreams'>): EndpointSnapshot {
  const address = {
    kind: 'openai-http' as const,
    url: row.base_url,
    model: row.model,
    apiKey: row.api_key,
    dialect: 'generic' as const,
    publicOnly: true,
  };
  return {
    endpointId: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    createdAtMs: row.created_at_ms,
    maxWaitMs: 0,
    upstream: { outputTokensMax: row.output_tokens_max },
    servedModels: [
      {
        servedModelId: row.id,
        modelId: row.model,
        trafficPercent: 100,
        contextTokens: row.context_tokens,
        capabilities: { chat: true, completion: true, embedding: true, structuredOutput: true, tools: true },
        coefficients: { p0Us: 0, p1Us: 0, p2Us: 0, d1Us: 0, d2Us: 0 },
        batchPerUnit: row.concurrency_max,
        kvTokensPerUnit: row.context_tokens * row.concurrency_max,
        disaggregated: false,
        startupMs: 0,
        unitsMax: 1,
        replicas: [
          { replicaId: `rep-${row.id}`, role: 'unified', state: 'ready', address, startedAtMs: row.created_at_ms },
        ],
      },
    ],
  };
}
