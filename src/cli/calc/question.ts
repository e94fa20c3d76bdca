import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { type CalculatorInput, TRACE_ROWS_MAX } from '../../control/calculator/schemas.ts';
import { CubitError } from '../../core/errors.ts';
import { parseAzureTrace } from '../../workload/azure.ts';
import { parseMooncakeTrace } from '../../workload/mooncake.ts';
import type { TraceRequest } from '../../workload/trace.ts';
import { parseHistogram, parseShape } from './files.ts';

export interface CalcFlags {
  readonly model?: string;
  readonly rpm?: string;
  readonly input?: string;
  readonly output?: string;
  readonly cacheHit: string;
  readonly spread: string;
  readonly histogram?: string;
  readonly trace?: string;
  readonly endpoint?: string;
  readonly peakShape?: string;
  readonly ttft?: string;
  readonly tpot?: string;
  readonly percentile: string;
  readonly coefficient?: string;
  readonly loraFactor?: string;
  readonly loraRank?: string;
  readonly machine?: string;
  readonly machineFacts?: string;
  readonly clouds?: boolean;
  readonly catalog?: string | boolean;
}

export type Fail = (message: string) => never;
export type Question = z.input<typeof CalculatorInput>;

export interface Asked {
  readonly question: Question;
  /** What reading the trace mended. */
  readonly notes: readonly string[];
  /** Fits into one request of the API. */
  readonly short: boolean;
}

/** A body of the API is at most a megabyte. */
const QUESTION_CHARS_MAX = 900_000;

/** The flags as the API's question. Wrong ones end the command with exit code 2. */
export function questionOf(fail: Fail, flags: CalcFlags): Asked {
  const number = (name: string, text: string | undefined) =>
    text === undefined ? undefined : numberOf(fail, name, text);
  const ways = [flags.histogram, flags.trace, flags.endpoint, flags.input ?? flags.output].filter(
    (way) => way !== undefined,
  );
  if (ways.length !== 1) {
    return fail('say the traffic in one way: --rpm --input --output, --rpm --histogram, --trace, or --endpoint');
  }
  if (flags.percentile !== '50' && flags.percentile !== '95') return fail('--percentile is 50 or 95');
  const trace = flags.trace === undefined ? null : readTrace(flags.trace);
  const question: Question = defined({
    modelId: flags.model,
    requestsPerMinute: number('rpm', flags.rpm),
    promptTokens: number('input', flags.input),
    outputTokens: number('output', flags.output),
    cachedShare: shareOf(fail, flags.cacheHit),
    spread: number('spread', flags.spread),
    histogram: flags.histogram === undefined ? undefined : parseHistogram(readText(flags.histogram), flags.histogram),
    trace: trace?.requests.map(rowOf),
    blockTokens: trace?.blockTokens,
    endpointId: flags.endpoint,
    hourlyFactors: flags.peakShape === undefined ? undefined : parseShape(readText(flags.peakShape), flags.peakShape),
    ttftMs: number('ttft', flags.ttft),
    tpotMs: number('tpot', flags.tpot),
    percentile: `p${flags.percentile}` as const,
    coefficient: number('coefficient', flags.coefficient),
    loraFactor: number('lora-factor', flags.loraFactor),
    loraRank: number('lora-rank', flags.loraRank),
    machineTypeId: flags.machine,
    machine: flags.machineFacts === undefined ? undefined : machineOf(fail, flags.machineFacts),
  });
  const rows = question.trace?.length ?? 0;
  const short = rows <= TRACE_ROWS_MAX && (rows === 0 || JSON.stringify(question).length <= QUESTION_CHARS_MAX);
  return { question, notes: trace?.repairs ?? [], short };
}

function rowOf({ blocks, ...row }: TraceRequest) {
  const own = { ...row, cachedTokens: 0 };
  return blocks === undefined ? own : { ...own, blocks: [...blocks] };
}

/** Without the fields that are undefined. */
function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

function numberOf(fail: Fail, name: string, text: string): number {
  const value = Number(text);
  return text.trim() !== '' && Number.isFinite(value) ? value : fail(`--${name} wants a number, not “${text}”`);
}

/** `0.5` or `50%`. */
function shareOf(fail: Fail, text: string): number {
  const percent = text.trim().endsWith('%');
  const value = numberOf(fail, 'cache-hit', percent ? text.trim().slice(0, -1) : text) / (percent ? 100 : 1);
  return value >= 0 && value <= 1 ? value : fail(`--cache-hit goes from 0 to 1 (or 0% to 100%), not “${text}”`);
}

const FACTS = {
  memory: 'memoryBytes',
  bandwidth: 'bandwidthBytesPerS',
  flops: 'flopsPerS',
  link: 'linkBytesPerS',
  accelerators: 'accelerators',
} as const;

function machineOf(fail: Fail, list: string): NonNullable<Question['machine']> {
  const facts: Record<string, number> = {};
  for (const part of list.split(',')) {
    const [name = '', value = ''] = part.split('=').map((text) => text.trim());
    if (!Object.hasOwn(FACTS, name)) {
      return fail(`--machine-facts knows ${Object.keys(FACTS).join(', ')}, not “${name}”`);
    }
    facts[FACTS[name as keyof typeof FACTS]] = numberOf(fail, `machine-facts ${name}`, value);
  }
  const missing = (['memory', 'bandwidth', 'flops'] as const).filter((name) => facts[FACTS[name]] === undefined);
  if (missing.length > 0 || (facts['accelerators'] ?? 1) > 1 !== (facts['linkBytesPerS'] !== undefined)) {
    return fail(
      '--machine-facts wants memory (bytes), bandwidth (bytes/s), flops (dense bf16 FLOP/s) of one accelerator, and of several ' +
        'also accelerators and link (bytes/s one way)',
    );
  }
  return facts as unknown as NonNullable<Question['machine']>;
}

/** By its content: a line of JSON is Mooncake's. Throws `invalid_request`. */
function readTrace(path: string) {
  const text = readText(path);
  return text.trimStart().startsWith('{') ? parseMooncakeTrace(text) : parseAzureTrace(text);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CubitError('invalid_request', `${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
