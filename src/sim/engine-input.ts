import { CubitError } from '../core/errors.ts';
import type { EngineConfig, EngineRequest } from './engine-types.ts';
import type { Sequence } from './sequence.ts';

/** A request as the engine keeps it. Throws `invalid_request` on one that no engine could run. */
export function sequenceOf(config: EngineConfig, request: EngineRequest, index: number): Sequence {
  const { atMs, blocks, cachedTokens = 0, outputTokens, promptTokens } = request;
  if (!Number.isFinite(atMs)) invalid(`Request ${index} has no arrival time.`);
  if (!(Number.isInteger(promptTokens) && promptTokens > 0 && Number.isInteger(outputTokens) && outputTokens > 0)) {
    invalid(`Request ${index} has ${promptTokens} prompt and ${outputTokens} output tokens; both must be 1 or more.`);
  }
  if (!(cachedTokens >= 0)) invalid(`Request ${index} has ${cachedTokens} cached tokens; 0 or more can be.`);
  const cacheBlocks = Math.floor(config.kvTokens / config.blockTokens);
  // The last output token is never read, so it takes no place.
  if (Math.ceil((promptTokens + outputTokens - 1) / config.blockTokens) > cacheBlocks) {
    invalid(`Request ${index} needs ${promptTokens + outputTokens} tokens of KV cache; there are ${config.kvTokens}.`);
  }
  return {
    index,
    atMs,
    promptTokens,
    outputTokens,
    // Only whole blocks can be found again; a trace may hash the last, partly filled one too.
    hashes: blocks?.slice(0, Math.floor(promptTokens / config.blockTokens)),
    cachedTokensGiven: cachedTokens,
    computed: 0,
    length: promptTokens,
    emitted: 0,
    blocks: [],
    findable: 0,
    running: false,
    preempted: false,
    cachedTokens: 0,
    drainedMs: Number.NaN,
    scheduledMs: Number.NaN,
    firstTokenMs: Number.NaN,
    lastTokenMs: Number.NaN,
  };
}

/** Throws `invalid_request` on what no engine could be. */
export function checkConfig(config: EngineConfig): void {
  const { blockTokens, kvTokens, prefillFixedUs, ranks = 1, sequencesMax, step, stepTokensMax } = config;
  for (const [name, value] of Object.entries({ blockTokens, kvTokens, ranks, sequencesMax, stepTokensMax })) {
    if (!(Number.isInteger(value) && value > 0))
      invalid(`${name} is ${value}; it must be a whole number of 1 or more.`);
  }
  for (const [name, value] of Object.entries({ ...step, prefillFixedUs })) {
    if (!(Number.isFinite(value) && value >= 0)) invalid(`${name} is ${value}; it must be a number of 0 or more.`);
  }
  if (!(step.tau0Us + step.tau3Us > 0)) invalid('A decode step must take time: tau0Us or tau3Us must be above 0.');
}

function invalid(message: string): never {
  throw new CubitError('invalid_request', message);
}
