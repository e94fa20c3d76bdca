import { OutputLengths, pinballLoss } from '../core/serving/output-lengths.ts';
import type { TraceRequest } from '../workload/trace.ts';

export interface LengthsOptions {
  /** Which share of answers the reservation should cover. */
  readonly quantile: number;
  /** API keys among which the requests are dealt in turn: a trace has none. */
  readonly keys: number;
  /** What `constant` reserves always, and the learners before they know anything; tokens. */
  readonly constantTokens: number;
  /** How long an answer takes to become known: a first token, then the rest. */
  readonly ttftMs: number;
  readonly tpotMs: number;
}

export const LENGTHS_OPTIONS: LengthsOptions = {
  quantile: 0.9,
  keys: 1,
  constantTokens: 256,
  ttftMs: 1_000,
  tpotMs: 30,
};

/** How good one way of reserving was over a trace. */
export interface LengthsScore {
  /** Mean pinball loss at the quantile, tokens a request; the less the better. */
  readonly pinballTokens: number;
  /** Share of answers no longer than what was reserved. */
  readonly coverage: number;
  /** Reserved at admission ÷ used, over all requests. */
  readonly reservedToUsed: number;
  /** The same with what was reserved later, while answers outgrew it. */
  readonly reservedToUsedWithExtensions: number;
}

export interface LengthsReport {
  readonly requests: number;
  readonly outputTokensMean: number;
  readonly learned: LengthsScore;
  readonly baselines: {
    /** The smallest `max_tokens` that cuts no answer of this trace: the best that clients could have set. */
    readonly maxTokens: LengthsScore;
    readonly constant: LengthsScore;
    /** The running mean of finished answers. */
    readonly mean: LengthsScore;
    /** The constant that this trace, known in advance, makes best: what no estimator that ignores the request beats by much. */
    readonly hindsight: LengthsScore;
  };
}

interface Estimator {
  estimate(keyId: string): number;
  observe(keyId: string, tokens: number): void;
}

/**
 * Replays a trace's arrivals: each request is estimated when it comes, from the answers that have ended by then, and
 * teaches when its own has (invariant 6). Requests in order of time.
 */
export function evaluateLengths(requests: readonly TraceRequest[], options: LengthsOptions): LengthsReport {
  const lengths = requests.map(({ outputTokens }) => outputTokens).sort((a, b) => a - b);
  const longest = lengths.at(-1) ?? 0;
  const best = lengths[Math.min(lengths.length - 1, Math.floor(options.quantile * lengths.length))] ?? 0;
  const score = (estimator: Estimator) => replay(requests, estimator, options);
  return {
    requests: requests.length,
    outputTokensMean: lengths.reduce((sum, tokens) => sum + tokens, 0) / Math.max(1, lengths.length),
    learned: score(learnedOf(options)),
    baselines: {
      maxTokens: score(always(longest)),
      constant: score(always(options.constantTokens)),
      mean: score(runningMean(options.constantTokens)),
      hindsight: score(always(best)),
    },
  };
}

function replay(requests: readonly TraceRequest[], estimator: Estimator, options: LengthsOptions): LengthsScore {
  const keyOf = (index: number) => `key-${index % options.keys}`;
  const endMs = ({ atMs, outputTokens }: TraceRequest) => atMs + options.ttftMs + options.tpotMs * outputTokens;
  const ended = requests.map((request, index) => ({ request, index, endMs: endMs(request) }));
  ended.sort((a, b) => a.endMs - b.endMs || a.index - b.index);
  let next = 0;
  let loss = 0;
  let covered = 0;
  let reserved = 0;
  let extended = 0;
  let used = 0;
  requests.forEach(({ atMs, outputTokens }, index) => {
    for (; next < ended.length && (ended[next] as (typeof ended)[number]).endMs <= atMs; next += 1) {
      const { index: earlier, request } = ended[next] as (typeof ended)[number];
      estimator.observe(keyOf(earlier), request.outputTokens);
    }
    const estimate = estimator.estimate(keyOf(index));
    loss += pinballLoss(outputTokens, estimate, options.quantile);
    covered += outputTokens <= estimate ? 1 : 0;
    reserved += estimate;
    extended += Math.max(0, outputTokens - estimate);
    used += outputTokens;
  });
  return {
    pinballTokens: loss / requests.length,
    coverage: covered / requests.length,
    reservedToUsed: reserved / used,
    reservedToUsedWithExtensions: (reserved + extended) / used,
  };
}

function learnedOf({ constantTokens, keys, quantile }: LengthsOptions): Estimator {
  const lengths = new OutputLengths({ quantile, priorTokens: constantTokens, learnersMax: keys + 1 });
  return {
    estimate: (keyId) => lengths.estimate('endpoint', keyId, Number.MAX_SAFE_INTEGER),
    observe: (keyId, tokens) => lengths.observe('endpoint', keyId, tokens, Number.MAX_SAFE_INTEGER),
  };
}

function always(tokens: number): Estimator {
  return { estimate: () => tokens, observe: () => {} };
}

function runningMean(priorTokens: number): Estimator {
  let sum = 0;
  let count = 0;
  return {
    estimate: () => (count === 0 ? priorTokens : Math.ceil(sum / count)),
    observe: (_, tokens) => {
      sum += tokens;
      count += 1;
    },
  };
}
