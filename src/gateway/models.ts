import { CubitError } from '../core/errors.ts';
import { resolve } from './resolve.ts';
import type { EndpointSnapshot, GatewaySnapshot, KeySnapshot } from './snapshot.ts';

/** OpenAI's model list, of the tenant's own endpoints. */
export function listModels(snapshot: GatewaySnapshot, key: KeySnapshot): unknown {
  // Each endpoint stands in the snapshot by name and by id.
  const own = new Set(
    [...snapshot.endpoints.values()].filter((one) => one.tenantId === key.tenantId && one.upstream === undefined),
  );
  return { object: 'list', data: [...own].map(modelOf) };
}

/** By name or id. Throws `model_not_found`. */
export function findModel(snapshot: GatewaySnapshot, key: KeySnapshot, encodedName: string): unknown {
  let name: string;
  try {
    name = decodeURIComponent(encodedName);
  } catch (cause) {
    throw new CubitError('invalid_request', 'The path is not valid percent-encoding.', { cause });
  }
  return modelOf(resolve(snapshot, key, name));
}

function modelOf(endpoint: EndpointSnapshot): unknown {
  return {
    id: endpoint.name,
    object: 'model',
    created: Math.floor(endpoint.createdAtMs / 1_000),
    owned_by: endpoint.tenantId,
    endpoint_id: endpoint.endpointId,
    served_models: endpoint.servedModels.map(({ servedModelId, modelId, trafficPercent, contextTokens }) => ({
      served_model: servedModelId,
      model: modelId,
      traffic_percent: trafficPercent,
      context_tokens: contextTokens,
    })),
  };
}
