import { randomInt } from 'node:crypto';
import { type SequenceEvaluateOptions, type Token, TokenBias } from 'node-llama-cpp';
import { CubitError } from '../../core/errors.ts';
import type { LoadedModel } from './model.ts';
import type { Sampling } from './request.ts';

/**
 * A request's sampling in node-llama-cpp's terms. `prompt` and `output` are read before every token: `output` grows.
 *
 * Frequency and presence penalties are OpenAI's: logit −= count·frequency + (count > 0)·presence over the output's
 * tokens. They go in as a bias, because llama.cpp's own penalty sampler has one token list for all three penalties,
 * while repetition also counts the prompt's tokens.
 * Throws `invalid_request` or `unsupported_feature` for a bias that cannot be set.
 */
export function evaluateOptions(
  sampling: Sampling,
  loaded: LoadedModel,
  prompt: readonly Token[],
  output: readonly Token[],
): SequenceEvaluateOptions {
  checkLogitBias(sampling, loaded);
  const biased = sampling.logitBias.size > 0 || sampling.frequencyPenalty !== 0 || sampling.presencePenalty !== 0;
  return {
    temperature: sampling.temperature,
    topP: sampling.topP,
    topK: sampling.topK,
    minP: sampling.minP,
    seed: sampling.seed === null ? randomInt(2 ** 32 - 1) : sampling.seed >>> 0,
    yieldEogToken: true,
    ...(biased ? { tokenBias: () => tokenBias(sampling, loaded, output) } : {}),
    ...(sampling.repetitionPenalty === 1
      ? {}
      : {
          repeatPenalty: {
            penalty: sampling.repetitionPenalty,
            punishTokens: () => [...prompt, ...output],
            maxPunishTokens: loaded.contextTokens,
          },
        }),
  };
}

function checkLogitBias(sampling: Sampling, loaded: LoadedModel): void {
  for (const id of sampling.logitBias.keys()) {
    const details = { param: 'logit_bias' };
    if (id >= loaded.vocabularySize) {
      throw new CubitError('invalid_request', `logit_bias: the model has no token ${id}.`, { details });
    }
    if (loaded.model.isEogToken(id as Token)) {
      throw new CubitError('unsupported_feature', `logit_bias: token ${id} ends the output and takes no bias.`, {
        details,
      });
    }
  }
}

function tokenBias(sampling: Sampling, loaded: LoadedModel, output: readonly Token[]): TokenBias {
  const logits = new Map(sampling.logitBias);
  const counts = new Map<number, number>();
  for (const token of output) counts.set(token, (counts.get(token) ?? 0) + 1);
  for (const [token, count] of counts) {
    const penalty = count * sampling.frequencyPenalty + sampling.presencePenalty;
    logits.set(token, (logits.get(token) ?? 0) - penalty);
  }
  const bias = TokenBias.for(loaded.model);
  for (const [token, logit] of logits) bias.set(token as Token, { logit });
  return bias;
}
