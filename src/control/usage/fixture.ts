import type { Receipt } from '../../core/commerce/metering.ts';

/** The n-th receipt of a test. */
export function receipt(n: number, changes: Partial<Receipt> = {}): Receipt {
  return {
    requestId: `req-${n}`,
    tenantId: 't-1',
    keyId: 'key-1',
    endpointId: 'ep-1',
    servedModelId: 'sm-1',
    replicaId: 'rep-1',
    adapterId: null,
    kind: 'chat',
    outcome: 'completed',
    cause: 'stop',
    promptTokens: 100,
    cachedTokens: 10,
    outputTokens: 20,
    estimated: { prefillUs: 1000, decodeUs: 2000 },
    actual: { prefillUs: 900, decodeUs: 1800 },
    spill: null,
    receivedAtMs: 1_744_531_200_000 + n,
    endedAtMs: 1_744_531_201_000 + n,
    waitMs: 0.25,
    ttftMs: 12.5,
    tpotMs: null,
    ...changes,
  };
}
