import type { Command } from 'commander';
import type { Slo } from '../../bench/figures.ts';
import type { Lengths } from '../../bench/plan.ts';
import type { RampLimits } from '../../bench/ramp.ts';
import type { RunLimits } from '../../bench/run.ts';
import type { Arrivals } from '../../workload/arrivals.ts';

/** The command line's texts as the figures that they are. Wrong ones end the command with exit code 2. */
export interface BenchFlags {
  readonly model?: string;
  readonly endpoint?: string;
  readonly apiKeyEnv?: string;
  readonly header?: readonly string[];
  readonly body?: string;
  readonly rate?: string;
  readonly arrivals: string;
  readonly cv: string;
  readonly concurrency?: string;
  readonly ramp?: boolean;
  readonly trace?: string;
  readonly format?: string;
  readonly timeScale: string;
  readonly rateScale: string;
  readonly from: string;
  readonly to?: string;
  readonly turns?: string;
  readonly think: string;
  readonly prompt: string;
  readonly output: string;
  readonly spread: string;
  readonly shared: string;
  readonly lengthScale: string;
  readonly promptMax?: string;
  readonly outputMax?: string;
  readonly seconds?: string;
  readonly requests?: string;
  readonly warmUp?: string;
  readonly drain: string;
  readonly silence: string;
  readonly inFlightMax?: string;
  readonly ttft?: string;
  readonly tpot?: string;
  readonly percentile: string;
  readonly probe: string;
  readonly rampMax: string;
  readonly seed: string;
  readonly save?: string;
  readonly csv?: string;
  readonly html?: string;
}

export type Fail = (message: string) => never;

export const failing =
  (program: Command): Fail =>
  (message) =>
    program.error(`error: ${message}`, { exitCode: 2 });

export const RATE_MAX = 20_000;
const SECONDS_MAX = 24 * 3600;
const REQUESTS_MAX = 1_000_000;
const TOKENS_MAX = 1_000_000;
const SECONDS = 60;
const WARM_UP_S = 5;
/** Descriptors for everything but the requests' sockets. */
const SPARE_FILES = 200;
const IN_FLIGHT_MAX = 16_000;

/** A number within bounds, else the end. */
export function numberOf(fail: Fail, name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= min && value <= max) return value;
  return fail(`--${name} wants a number from ${min} to ${max}, not “${text}”`);
}

export function wholeOf(fail: Fail, name: string, text: string, min: number, max: number): number {
  const value = numberOf(fail, name, text, min, max);
  return Number.isInteger(value) ? value : fail(`--${name} wants a whole number, not “${text}”`);
}

export function arrivalsOf(fail: Fail, flags: BenchFlags, ratePerS: number): Arrivals {
  const { arrivals: kind } = flags;
  if (kind === 'constant' || kind === 'poisson') return { kind, ratePerS };
  if (kind !== 'gamma' && kind !== 'weibull') {
    return fail(`--arrivals is constant, poisson, gamma or weibull, not “${kind}”`);
  }
  return { kind, ratePerS, cv: numberOf(fail, 'cv', flags.cv, 0.05, 20) };
}

export function lengthsOf(fail: Fail, flags: BenchFlags): Lengths {
  const lengths = {
    promptTokens: wholeOf(fail, 'prompt', flags.prompt, 1, TOKENS_MAX),
    outputTokens: wholeOf(fail, 'output', flags.output, 1, TOKENS_MAX),
    spread: numberOf(fail, 'spread', flags.spread, 0, 1),
    sharedTokens: wholeOf(fail, 'shared', flags.shared, 0, TOKENS_MAX),
  };
  if (lengths.sharedTokens < lengths.promptTokens) return lengths;
  return fail(`--shared ${lengths.sharedTokens} is not part of a prompt of ${lengths.promptTokens} tokens`);
}

export function sloOf(fail: Fail, flags: BenchFlags): Slo {
  const target = (name: 'ttft' | 'tpot') =>
    flags[name] === undefined ? null : numberOf(fail, name, flags[name], 0.001, 3_600_000);
  return { ttftMsMax: target('ttft'), tpotMsMax: target('tpot') };
}

export const percentileOf = (fail: Fail, flags: BenchFlags) => numberOf(fail, 'percentile', flags.percentile, 1, 99.9);

export const seedOf = (fail: Fail, flags: BenchFlags) => wholeOf(fail, 'seed', flags.seed, 0, 2 ** 32 - 1);

/**
 * `ownSpanMs`: how long the workload lasts by itself (a trace), null without end. `filesMax`: what the machine lets one
 * process open, null where that is not known.
 */
export function limitsOf(fail: Fail, flags: BenchFlags, ownSpanMs: number | null, filesMax: number | null): RunLimits {
  const seconds =
    flags.seconds === undefined
      ? ownSpanS(fail, ownSpanMs)
      : numberOf(fail, 'seconds', flags.seconds, 0.1, SECONDS_MAX);
  // A short test has nothing to spare, and one of so many requests means these.
  const defaultWarmUpS = seconds >= 4 * WARM_UP_S && flags.requests === undefined ? WARM_UP_S : 0;
  const warmUpS = flags.warmUp === undefined ? defaultWarmUpS : numberOf(fail, 'warm-up', flags.warmUp, 0, SECONDS_MAX);
  if (warmUpS >= seconds) fail(`--warm-up ${warmUpS} leaves nothing of ${seconds} s to measure`);
  const requestsMax =
    flags.requests === undefined ? REQUESTS_MAX : wholeOf(fail, 'requests', flags.requests, 1, REQUESTS_MAX);
  return {
    spanMs: seconds * 1000,
    warmUpMs: warmUpS * 1000,
    requestsMax,
    inFlightMax: inFlightOf(fail, flags, filesMax),
    drainMs: numberOf(fail, 'drain', flags.drain, 0, SECONDS_MAX) * 1000,
    silenceMsMax: numberOf(fail, 'silence', flags.silence, 1, SECONDS_MAX) * 1000,
  };
}

function ownSpanS(fail: Fail, ownSpanMs: number | null): number {
  if (ownSpanMs === null) return SECONDS;
  // The last request is due at the very end.
  const seconds = ownSpanMs / 1000 + 0.001;
  return seconds <= SECONDS_MAX
    ? seconds
    : fail(`the trace lasts ${seconds.toFixed(0)} s: cut it with --from and --to`);
}

function inFlightOf(fail: Fail, flags: BenchFlags, filesMax: number | null): number {
  const possible = filesMax === null ? IN_FLIGHT_MAX : Math.max(1, Math.min(IN_FLIGHT_MAX, filesMax - SPARE_FILES));
  if (flags.inFlightMax === undefined) return possible;
  const wanted = wholeOf(fail, 'in-flight-max', flags.inFlightMax, 1, 60_000);
  if (filesMax === null || wanted + SPARE_FILES <= filesMax) return wanted;
  return fail(
    `--in-flight-max ${wanted} needs more than the ${filesMax} files that this machine lets a process open (ulimit -n)`,
  );
}

export function rampOf(fail: Fail, flags: BenchFlags): RampLimits & { readonly probeMs: number } {
  const startPerS = flags.rate === undefined ? 1 : numberOf(fail, 'rate', flags.rate, 0.01, RATE_MAX);
  const maxPerS = numberOf(fail, 'ramp-max', flags.rampMax, 0.01, RATE_MAX);
  return {
    startPerS: Math.min(startPerS, maxPerS),
    minPerS: Math.min(startPerS, maxPerS) / 64,
    maxPerS,
    probesMax: 20,
    precision: 1.1,
    probeMs: numberOf(fail, 'probe', flags.probe, 1, 3600) * 1000,
  };
}
