import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { drawLengths, generatedShots, type Plan, traceShots } from '../../bench/plan.ts';
import type { Workload } from '../../bench/report.ts';
import { CubitError } from '../../core/errors.ts';
import type { Arrivals } from '../../workload/arrivals.ts';
import { conversations } from '../../workload/conversation.ts';
import { FILE_FORMATS, parseTrace } from '../../workload/parse.ts';
import { generateServeGen, parseServeGenClient } from '../../workload/servegen.ts';
import { cutWindow, factsOf, scaleLengths, scaleTime, type Trace } from '../../workload/trace.ts';
import { arrivalsOf, type BenchFlags, type Fail, lengthsOf, numberOf, RATE_MAX, seedOf, wholeOf } from './flags.ts';

/** A workload as the flags describe it; `plan` starts it from its beginning. */
export interface Chosen {
  readonly workload: Workload;
  readonly plan: () => Plan;
  /** How long it lasts; null: without end. */
  readonly spanMs: number | null;
}

const GAP_NOTED_MS = 60_000;
const TURNS_MAX = 50;
const SERVEGEN_DAY_S = 86_400;

/** Exactly one of --rate, --concurrency, --trace; --turns makes conversations of a rate. */
export function chooseWorkload(fail: Fail, flags: BenchFlags): Chosen {
  const given = (['rate', 'concurrency', 'trace'] as const).filter((name) => flags[name] !== undefined);
  if (given.length !== 1) {
    const said = given.length === 0 ? '' : `, not ${given.map((name) => `--${name}`).join(' and ')} together`;
    return fail(`say what to send: one of --rate, --concurrency, --trace, or --ramp${said}`);
  }
  if (flags.turns !== undefined && flags.rate === undefined) return fail('--turns goes with --rate: conversations/s');
  if (flags.trace !== undefined) return ofTrace(fail, flags, flags.trace);
  if (flags.concurrency !== undefined) return ofConcurrency(fail, flags, flags.concurrency);
  const arrivals = arrivalsOf(fail, flags, numberOf(fail, 'rate', flags.rate as string, 0.001, RATE_MAX));
  return flags.turns === undefined
    ? ofRate(fail, flags, arrivals)
    : ofConversations(fail, flags, arrivals, flags.turns);
}

/** Requests at a rate; the ramp makes one of these for every probe, with a seed of its own. */
export function ofRate(fail: Fail, flags: BenchFlags, arrivals: Arrivals, seed = seedOf(fail, flags)): Chosen {
  const lengths = lengthsOf(fail, flags);
  const text = `${arrivalsText(arrivals)} requests/s, ${lengthsText(flags)}`;
  return {
    workload: workload('rate', text, seed, { arrivals, lengths }),
    plan: () => ({ kind: 'open', shots: generatedShots(arrivals, lengths, seed) }),
    spanMs: null,
  };
}

function ofConcurrency(fail: Fail, flags: BenchFlags, wanted: string): Chosen {
  const lengths = lengthsOf(fail, flags);
  const seed = seedOf(fail, flags);
  const concurrency = wholeOf(fail, 'concurrency', wanted, 1, 60_000);
  const text = `${concurrency} requests at a time, ${lengthsText(flags)}`;
  const shots = () => generatedShots({ kind: 'constant', ratePerS: 1 }, lengths, seed);
  return {
    workload: workload('concurrency', text, seed, { concurrency, lengths }),
    plan: () => ({ kind: 'closed', concurrency, shots: shots() }),
    spanMs: null,
  };
}

function ofConversations(fail: Fail, flags: BenchFlags, arrivals: Arrivals, turns: string): Chosen {
  const lengths = lengthsOf(fail, flags);
  const seed = seedOf(fail, flags);
  const turnsMean = numberOf(fail, 'turns', turns, 1, TURNS_MAX);
  const thinkMsMean = numberOf(fail, 'think', flags.think, 0, 3600) * 1000;
  const shape = {
    turnsMean,
    turnsMax: TURNS_MAX,
    thinkMsMean,
    lengths: (random: () => number) => drawLengths(lengths, random),
  };
  const text = `${arrivalsText(arrivals)} conversations/s, ${turnsMean} turns, ${thinkMsMean / 1000} s between, ${lengthsText(flags)} a turn`;
  return {
    workload: workload('multi-turn', text, seed, { arrivals, lengths, turnsMean, thinkMsMean }),
    plan: () => ({ kind: 'conversations', conversations: conversations(arrivals, shape, seed), seed }),
    spanMs: null,
  };
}

function ofTrace(fail: Fail, flags: BenchFlags, path: string): Chosen {
  const seed = seedOf(fail, flags);
  const factor = numberOf(fail, 'time-scale', flags.timeScale, 1e-6, 1e6);
  const limits = {
    scale: numberOf(fail, 'length-scale', flags.lengthScale, 1e-6, 1e3),
    promptTokensMax: wholeOf(fail, 'prompt-max', flags.promptMax ?? '1000000', 1, 1_000_000),
    outputTokensMax: wholeOf(fail, 'output-max', flags.outputMax ?? '1000000', 1, 1_000_000),
  };
  const read = readTrace(fail, flags, path, seed);
  const trace = scaleLengths(scaleTime(read, factor), limits);
  const facts = factsOf(trace);
  const span = (facts.spanMs / 1000).toFixed(0);
  const text = `${facts.requests} requests of ${path} in ${span} s (time × ${factor}, lengths × ${limits.scale}), prompts of ${facts.promptTokensMean.toFixed(0)} and outputs of ${facts.outputTokensMean.toFixed(0)} tokens on average`;
  const gap = `the longest time without a request is ${(facts.gapMsMax / 1000).toFixed(0)} s, from ${(facts.gapFromMs / 1000).toFixed(0)} s on`;
  const zero = `${factsOf(read).zeroOutputs} requests ask for no output: 1 token instead`;
  const notes = [
    ...trace.repairs,
    ...(facts.gapMsMax >= GAP_NOTED_MS ? [gap] : []),
    ...(factsOf(read).zeroOutputs > 0 ? [zero] : []),
  ];
  const digest = createHash('sha256').update(JSON.stringify(trace.requests)).digest('hex');
  return {
    workload: { ...workload('trace', text, seed, { digest }), notes },
    plan: () => ({ kind: 'open', shots: traceShots(trace, seed) }),
    spanMs: facts.spanMs,
  };
}

function readTrace(fail: Fail, flags: BenchFlags, path: string, seed: number): Trace {
  const fromS = numberOf(fail, 'from', flags.from, 0, 1e9);
  const untilS = flags.to === undefined ? null : numberOf(fail, 'to', flags.to, 0, 1e9);
  if (untilS !== null && untilS <= fromS) return fail(`--to ${untilS} is not after --from ${fromS}`);
  const folder = isFolder(path);
  if (flags.format === 'servegen' || (folder && flags.format === undefined)) {
    const rateScale = numberOf(fail, 'rate-scale', flags.rateScale, 1e-6, 1e6);
    return generateServeGen(readClients(path), { fromS, untilS: untilS ?? SERVEGEN_DAY_S, rateScale, seed });
  }
  const format = FILE_FORMATS.find((name) => name === flags.format);
  if (flags.format !== undefined && format === undefined) {
    return fail(`--format is azure, mooncake, cubit or servegen, not “${flags.format}”`);
  }
  const text = inFile(path, () => readFileSync(path, 'utf8'));
  const trace = inFile(path, () => parseTrace(text, format));
  return fromS === 0 && untilS === null ? trace : cutWindow(trace, fromS * 1000, (untilS ?? 1e12) * 1000);
}

/** `chunk-<i>-trace.csv` and `chunk-<i>-dataset.json` for every client. */
function readClients(folder: string) {
  const names = inFile(folder, () => readdirSync(folder)).filter((name) => /^chunk-\d+-trace\.csv$/.test(name));
  if (names.length === 0) {
    throw new CubitError('invalid_request', `${folder} has no chunk-0-trace.csv, chunk-0-dataset.json, …`);
  }
  names.sort((a, b) => Number(a.split('-')[1]) - Number(b.split('-')[1]));
  return names.map((name) =>
    inFile(join(folder, name), () => {
      const dataset = join(folder, name.replace('-trace.csv', '-dataset.json'));
      return parseServeGenClient(readFileSync(join(folder, name), 'utf8'), readFileSync(dataset, 'utf8'));
    }),
  );
}

function isFolder(path: string): boolean {
  return inFile(path, () => statSync(path).isDirectory());
}

/** What goes wrong with a file, naming it. */
function inFile<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CubitError('invalid_request', `${path}: ${(error as Error).message}`, { cause: error });
  }
}

function workload(mode: Workload['mode'], text: string, seed: number, what: object): Workload {
  const fingerprint = createHash('sha256').update(JSON.stringify({ mode, seed, what })).digest('hex').slice(0, 16);
  return { mode, text, fingerprint, seed, notes: [] };
}

function arrivalsText(arrivals: Arrivals): string {
  const cv = 'cv' in arrivals ? ` (cv ${arrivals.cv})` : '';
  return `${arrivals.kind}${cv} ${arrivals.ratePerS}`;
}

function lengthsText({ prompt, output, spread, shared }: BenchFlags): string {
  const around = spread === '0' ? '' : ` ± ${Number(spread) * 100} %`;
  const same = shared === '0' ? '' : ` (${shared} of them the same in all)`;
  return `prompts of ${prompt} tokens${same}, outputs of ${output}${around}`;
}
