import { z } from 'zod';
import { loadCatalog } from '../../catalog/load.ts';
import { CubitError } from '../../core/errors.ts';
import type { UnitConfig } from '../../sim/cluster/types.ts';
import type { EngineConfig } from '../../sim/engine.ts';
import { unitOfTemplate } from '../../sim/template-unit.ts';
import { parseFile } from '../files.ts';
import type { SimulateFlags } from './flags.ts';

export type UnitFlags = Pick<SimulateFlags, 'template' | 'unit' | 'cacheTokens'> &
  Partial<Pick<SimulateFlags, 'stepTokens' | 'tpotMs'>>;

export interface ChosenUnit {
  readonly name: string;
  readonly config: UnitConfig;
  readonly startupMs: number;
}

/** Step times of Llama-3.1-8B on one RTX 4090, calibrated on a log of vLLM 0.19 (docs/simulator.md); rounded. */
const MEASURED: EngineConfig = {
  step: { tau0Us: 18_000, tau1Us: 86, tau2Us: 0.002, tau3Us: 3, tau4Us: 0.175, tau5Us: 0.011 },
  prefillFixedUs: 0,
  sequencesMax: 128,
  stepTokensMax: 2_048,
  kvTokens: 150_000,
  blockTokens: 16,
  prefixCaching: true,
  asyncScheduling: true,
};
const STARTUP_MS = 60_000;
const UNSHARED_BLOCK_TOKENS = 64;

const Own = z.strictObject({
  name: z.string().optional(),
  step: z.strictObject({
    tau0Us: z.number(),
    tau1Us: z.number(),
    tau2Us: z.number(),
    tau3Us: z.number(),
    tau4Us: z.number(),
    tau5Us: z.number().default(0),
  }),
  prefillFixedUs: z.number().default(0),
  sequencesMax: z.int(),
  stepTokensMax: z.int().default(2_048),
  kvTokens: z.int(),
  blockTokens: z.int().default(16),
  startupMs: z.number().positive().default(STARTUP_MS),
});

/** `traceBlockTokens`: what the trace's block ids stand for; the caches then keep blocks of that size. */
export async function chooseUnit(flags: UnitFlags, traceBlockTokens: number): Promise<ChosenUnit> {
  const base = await baseUnit(flags);
  const over = {
    ...(flags.cacheTokens ? { kvTokens: flags.cacheTokens } : {}),
    // Where nothing is shared, blocks only count: larger ones cost less time and round a little up.
    blockTokens: traceBlockTokens > 0 ? traceBlockTokens : UNSHARED_BLOCK_TOKENS,
  };
  const prefixCaching = flags.cacheTokens !== 0;
  const { config } = base;
  if (config.kind === 'unified') {
    return {
      ...base,
      config: {
        kind: 'unified',
        engine: { ...config.engine, ...over, ...stepTokensOf(flags, config.engine), prefixCaching },
      },
    };
  }
  // Decode machines find what is handed over; the cache that is asked about is that of prefill.
  const decode = { ...config.decode, ...over, prefixCaching: true };
  // Nothing decodes beside prefill there, so it keeps no TPOT.
  const given = typeof flags.stepTokens === 'number' ? { stepTokensMax: flags.stepTokens } : {};
  return { ...base, config: { ...config, prefill: { ...config.prefill, ...over, ...given, prefixCaching }, decode } };
}

/** Where chunks get no smaller, whatever is promised. */
const STEP_TOKENS_MIN = 64;

/**
 * As an engine is configured for its tier: `auto` is the most prefill tokens, in multiples of 64, that a step takes beside
 * a half-full KV cache and batch without being longer than the TPOT target; never more than the unit's own.
 */
function stepTokensOf({ stepTokens, tpotMs }: UnitFlags, engine: EngineConfig): { readonly stepTokensMax?: number } {
  if (stepTokens === undefined) return {};
  if (stepTokens !== 'auto') return { stepTokensMax: stepTokens };
  if (tpotMs === undefined) return {};
  const { kvTokens, sequencesMax, step } = engine;
  const restUs = step.tau0Us + (step.tau3Us * sequencesMax + (step.tau4Us + step.tau5Us) * kvTokens) / 2;
  const tokens = step.tau1Us > 0 ? (1000 * tpotMs - restUs) / step.tau1Us : engine.stepTokensMax;
  const whole = STEP_TOKENS_MIN * Math.floor(tokens / STEP_TOKENS_MIN);
  return { stepTokensMax: Math.min(engine.stepTokensMax, Math.max(STEP_TOKENS_MIN, whole)) };
}

async function baseUnit({ template, unit }: UnitFlags): Promise<ChosenUnit> {
  if (unit !== undefined) return ownUnit(unit);
  if (template === undefined) {
    return {
      name: 'Llama 3.1 8B on RTX 4090, measured',
      config: { kind: 'unified', engine: MEASURED },
      startupMs: STARTUP_MS,
    };
  }
  const known = (await loadCatalog()).templates;
  const found = known.get(template);
  if (found !== undefined) return { name: found.name, config: unitOfTemplate(found), startupMs: found.startupMs };
  throw new CubitError(
    'invalid_request',
    `There is no template ${template}; there are ${[...known.keys()].join(', ')}.`,
  );
}

function ownUnit(path: string): ChosenUnit {
  const own = parseFile(path, (text) => {
    const result = Own.safeParse(jsonOf(text));
    if (result.success) return result.data;
    const faults = result.error.issues.map(({ message, path: at }) => `${at.join('.') || 'the whole'}: ${message}`);
    throw new CubitError('invalid_request', `not a unit: ${faults.join('; ')}`);
  });
  const { name, startupMs, ...engine } = own;
  const config = { ...engine, prefixCaching: true, asyncScheduling: true };
  return { name: name ?? path, config: { kind: 'unified', engine: config }, startupMs };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
