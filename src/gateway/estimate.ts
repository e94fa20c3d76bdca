import type { Estimate } from '../core/serving/admission.ts';
import { withLora } from '../core/serving/lora.ts';
import type { OutputLengths } from '../core/serving/output-lengths.ts';
import { typicalOf } from '../core/serving/typical.ts';
import { type TokenCounts, type Work, type WorkCoefficients, workOf } from '../core/serving/work.ts';
import type { InferenceKind } from '../engine/port.ts';
import { measure, type PromptMeasure } from './messages.ts';
import type { Checked } from './params.ts';
import type { ServedModel } from './served.ts';
import type { AdapterSnapshot, ServedModelSnapshot } from './snapshot.ts';

export interface Estimated extends Estimate {
  readonly prompt: PromptMeasure;
  readonly tokens: TokenCounts;
  /** More output than this cannot come. */
  readonly outputTokensMax: number;
  /** Of this request: those of the served model, or with what its LoRA adapter takes more. */
  readonly coefficients: WorkCoefficients;
}

/** Whose answers foretell how long this one will be. */
interface Caller {
  readonly endpointId: string;
  readonly keyId: string;
}

/** Step 4: what the request will likely cost. Nothing of the prompt is counted as cached: admission comes before routing. */
export function estimate(
  kind: InferenceKind,
  checked: Checked,
  served: ServedModel,
  lengths: OutputLengths,
  caller: Caller,
  adapter: AdapterSnapshot | null = null,
): Estimated {
  const { contextTokens } = served.snapshot;
  const coefficients = coefficientsWith(served.snapshot, adapter);
  const prompt = measure(kind, checked.body);
  const { sequences } = prompt;
  const wanted = prompt.tokens ?? served.prompts.estimate(prompt.bytes, prompt.messages);
  const promptTokens = Math.min(wanted, contextTokens * sequences);
  const roomEach = Math.max(1, contextTokens - Math.floor(promptTokens / sequences));
  const maxEach = kind === 'embedding' ? 0 : Math.min(checked.maxTokens ?? roomEach, roomEach);
  const outputTokens =
    kind === 'embedding' ? 0 : lengths.estimate(caller.endpointId, caller.keyId, maxEach) * sequences;
  const tokens = { promptTokens, cachedTokens: 0, outputTokens };
  return {
    prompt,
    tokens,
    outputTokensMax: maxEach * sequences,
    coefficients,
    work: workOfAll(coefficients, tokens, sequences),
    kvTokens: promptTokens + outputTokens,
    outputTokens: Math.max(1, outputTokens / sequences),
    sequences,
    typical:
      kind === 'embedding'
        ? { contextTokens: promptTokens, kvTokens: promptTokens, kvVariance: 0 }
        : typicalOf(lengths.shape(caller.endpointId, caller.keyId), promptTokens, maxEach, sequences),
  };
}

/** An adapter on a template where nobody knows what one takes counts as the base. */
function coefficientsWith(snapshot: ServedModelSnapshot, adapter: AdapterSnapshot | null): WorkCoefficients {
  const { coefficients, lora = [] } = snapshot;
  return adapter === null ? coefficients : (withLora(coefficients, adapter.rank, lora) ?? coefficients);
}

/** Work of a batched request: work is not linear in length, so each sequence counts on its own, at the mean length. */
export function workOfAll(coefficients: WorkCoefficients, tokens: TokenCounts, sequences: number): Work {
  if (sequences === 1) return workOf(coefficients, tokens);
  const each = workOf(coefficients, {
    promptTokens: tokens.promptTokens / sequences,
    cachedTokens: tokens.cachedTokens / sequences,
    outputTokens: tokens.outputTokens / sequences,
  });
  return { prefillUs: each.prefillUs * sequences, decodeUs: each.decodeUs * sequences };
}
