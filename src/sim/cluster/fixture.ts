import type { TraceRequest } from '../../workload/trace.ts';
import type { EngineConfig } from '../engine-types.ts';
import { CubitGate } from './gate.ts';
import { CubitRoute } from './route.ts';
import type { ClusterConfig, Policies } from './types.ts';
import { ratesOf } from './unit.ts';

/** Small units for tests. */
export const ENGINE: EngineConfig = {
  step: { tau0Us: 10_000, tau1Us: 50, tau2Us: 0.001, tau3Us: 20, tau4Us: 0.1, tau5Us: 0 },
  prefillFixedUs: 0,
  sequencesMax: 8,
  stepTokensMax: 512,
  kvTokens: 8_192,
  blockTokens: 16,
  prefixCaching: true,
  asyncScheduling: true,
};

export const CONFIG: ClusterConfig = {
  unit: { kind: 'unified', engine: ENGINE },
  slo: { ttftMs: 1_000, ttftPrefillFactor: 2, tpotMs: 50 },
  initialUnits: 2,
  minUnits: 1,
  maxUnits: 6,
  startupMs: 10_000,
  startupCv: 0,
  failureMsMean: null,
  waitMsMax: 600_000,
  scaleEveryMs: 5_000,
  warmUpMs: 0,
  seed: 1,
};

/** Cubit's admission and routing, with this scaler. */
export function policiesOf(config: ClusterConfig, scaler: Policies['scaler']): Policies {
  const rates = ratesOf(config.unit);
  return {
    gate: new CubitGate(rates, { batchPerUnit: rates.batch, kvTokensPerUnit: rates.kvTokens }),
    route: new CubitRoute({ blocksMax: 512 }),
    scaler,
  };
}

export function requestsAt(times: readonly number[], promptTokens = 200, outputTokens = 50): TraceRequest[] {
  return times.map((atMs) => ({ atMs, promptTokens, outputTokens }));
}
