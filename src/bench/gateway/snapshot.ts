import {
  type EndpointSnapshot,
  endpointKey,
  type GatewaySnapshot,
  type ReplicaSnapshot,
} from '../../gateway/snapshot.ts';

export const BENCH_KEY = 'sk-bench-7f3a9c1e5b2d8046aa17c3e9d5f0b6a2';
const TENANT = 't-bench';

/**
 * A made-up snapshot: `endpoints` endpoints of one tenant, the one that is asked (`mock-model`) with `replicas` replicas
 * of the same upstream. Work is so small that admission counts it and refuses nothing.
 */
export function benchSnapshot(
  upstream: string,
  endpoints: number,
  replicas: number,
  hashOf: (key: string) => string,
): GatewaySnapshot {
  const address = { kind: 'openai-http', url: upstream, model: 'mock-model', apiKey: null, dialect: 'vllm' } as const;
  const replicasOf = (count: number, id: string): ReplicaSnapshot[] =>
    Array.from({ length: count }, (_, n) => ({
      replicaId: `rep-${id}-${n}`,
      role: 'unified',
      state: 'ready',
      address,
      startedAtMs: 1,
    }));
  const all = Array.from({ length: endpoints }, (_, n): EndpointSnapshot => {
    const id = n === 0 ? 'mock-model' : `other-${n}`;
    return {
      endpointId: `ep-${id}`,
      tenantId: TENANT,
      name: id,
      createdAtMs: 1,
      maxWaitMs: 60_000,
      servedModels: [
        {
          servedModelId: `sm-${id}`,
          modelId: 'mock-model',
          trafficPercent: 100,
          contextTokens: 1_000_000,
          capabilities: { chat: true, completion: true, embedding: true, structuredOutput: false, tools: false },
          coefficients: { p0Us: 0.01, p1Us: 0.0001, p2Us: 0, d1Us: 0.001, d2Us: 0 },
          batchPerUnit: 100_000,
          kvTokensPerUnit: 1e12,
          disaggregated: false,
          startupMs: 60_000,
          unitsMax: replicas,
          replicas: replicasOf(n === 0 ? replicas : 1, id),
        },
      ],
    };
  });
  const key = { keyId: 'key-bench', tenantId: TENANT };
  return {
    version: 1,
    keys: new Map([[hashOf(BENCH_KEY), key]]),
    endpoints: new Map(
      all.flatMap((one) => [
        [endpointKey(TENANT, one.name), one],
        [endpointKey(TENANT, one.endpointId), one],
      ]),
    ),
  };
}
