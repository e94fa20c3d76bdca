import { CubitError } from '../core/errors.ts';
import { adapterOf, splitModel } from './adapters.ts';
import { resolve } from './resolve.ts';
import type { AdapterSnapshot, EndpointSnapshot, GatewaySnapshot, KeySnapshot } from './snapshot.ts';

/** OpenAI's model list, of the tenant's own endpoints. */
export function listModels(snapshot: GatewaySnapshot, key: KeySnapshot): unknown {
  // Each endpoint stands in the snapshot by name and by id.
  const own = new Set(
    [...snapshot.endpoints.values()].filter((one) => one.tenantId === key.tenantId && one.upstream === undefined),
  );
  return { object: 'list', data: [...own].flatMap((endpoint) => [modelOf(endpoint), ...adaptersOf(endpoint)]) };
}

/** By name or id. Throws `model_not_found`. */
export function findModel(snapshot: GatewaySnapshot, key: KeySnapshot, encodedName: string): unknown {
  let name: string;
  try {
    name = decodeURIComponent(encodedName);
  } catch (cause) {
    throw new CubitError('invalid_request', 'The path is not valid percent-encoding.', { cause });
  }
  const [endpointName, adapterName] = splitModel(name);
  const endpoint = resolve(snapshot, key, endpointName);
  const adapter = adapterOf(endpoint, adapterName);
  return adapter === null ? modelOf(endpoint) : adapterModelOf(endpoint, adapter);
}

function adaptersOf(endpoint: EndpointSnapshot): unknown[] {
  return (endpoint.adapters ?? []).map((adapter) => adapterModelOf(endpoint, adapter));
}

function adapterModelOf(endpoint: EndpointSnapshot, { adapterId, baseModelId, name, rank }: AdapterSnapshot): unknown {
  return {
    id: `${endpoint.name}:${name}`,
    object: 'model',
    created: Math.floor(endpoint.createdAtMs / 1_000),
    owned_by: endpoint.tenantId,
    endpoint_id: endpoint.endpointId,
    adapter_id: adapterId,
    parent: endpoint.name,
    base_model: baseModelId,
    rank,
  };
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
