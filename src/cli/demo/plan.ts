import { readFileSync } from 'node:fs';
import { coefficientsOf, type StepModel, totalUs, workOf } from '../../core/serving/work.ts';
import { parseAzureTrace } from '../../workload/azure.ts';
import { seededRandom } from '../../workload/random.ts';
import type { TraceRequest } from '../../workload/trace.ts';

/** What the demo sends: requests of the Azure sample, made small enough for the machine's CPU and one unit. */
export interface Plan {
  readonly requests: readonly TraceRequest[];
  readonly lengthDivisor: number;
  readonly timeScale: number;
  readonly spanMs: number;
  /** Work offered ÷ work that one unit supplies in the span, at the estimate. */
  readonly offeredShare: number;
}

const LENGTH_DIVISOR = 32;
const PROMPT_TOKENS_MAX = 240;
const OUTPUT_TOKENS_MAX = 32;
/** The chat template's own tokens, the same in every request: cached after the first. */
const TEMPLATE_TOKENS = 28;

/**
 * Draws requests of the sample at random (seeded) until they offer `load` of what one unit supplies in `spanMs`, and
 * scales their arrival times to that span: the trace's mix of lengths and its burstiness stay, thinned.
 */
export function planFrom(
  profile: { step: StepModel; prefillFixedUs: number },
  batch: number,
  options: { spanMs: number; load: number; seed: number },
): Plan {
  const { spanMs, load } = options;
  const csv = readFileSync(new URL('../../workload/samples/azure-code-2023.csv', import.meta.url), 'utf8');
  const coefficients = coefficientsOf(profile.step, profile.prefillFixedUs, batch);
  const random = seededRandom(options.seed);
  const pool = [...parseAzureTrace(csv).requests];
  const traceMs = pool.at(-1)?.atMs ?? 1;
  const chosen: TraceRequest[] = [];
  let offeredUs = 0;
  while (offeredUs < spanMs * 1000 * load && pool.length > 0) {
    const [row] = pool.splice(Math.floor(random() * pool.length), 1) as [TraceRequest];
    const request = {
      atMs: (row.atMs * spanMs) / traceMs,
      promptTokens: Math.min(PROMPT_TOKENS_MAX, Math.max(8, Math.round(row.promptTokens / LENGTH_DIVISOR))),
      outputTokens: Math.min(OUTPUT_TOKENS_MAX, Math.max(2, row.outputTokens)),
    };
    const promptTokens = request.promptTokens + TEMPLATE_TOKENS;
    offeredUs += totalUs(
      workOf(coefficients, { promptTokens, cachedTokens: TEMPLATE_TOKENS, outputTokens: request.outputTokens }),
    );
    chosen.push(request);
  }
  chosen.sort((a, b) => a.atMs - b.atMs);
  return {
    requests: chosen,
    lengthDivisor: LENGTH_DIVISOR,
    timeScale: spanMs / traceMs,
    spanMs,
    offeredShare: offeredUs / (spanMs * 1000),
  };
}
