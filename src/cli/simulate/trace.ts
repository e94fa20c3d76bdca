import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CubitError } from '../../core/errors.ts';
import { parseAzureLine } from '../../workload/azure.ts';
import { CUBIT_BLOCK_TOKENS, cubitParser } from '../../workload/cubit.ts';
import { MOONCAKE_BLOCK_TOKENS, parseMooncakeLine } from '../../workload/mooncake.ts';
import { type FileFormat, formatOf } from '../../workload/parse.ts';
import { childSeed } from '../../workload/random.ts';
import { parseRateSteps, streamRateSteps } from '../../workload/rates.ts';
import { parseServeGenClient, streamServeGen } from '../../workload/servegen.ts';
import { linesOf, requestsOf, scaledStream } from '../../workload/stream.ts';
import type { TraceRequest } from '../../workload/trace.ts';
import { parseFile, readTextFile } from '../files.ts';
import type { SimulateFlags } from './flags.ts';

export interface ChosenTrace {
  readonly format: FileFormat | 'servegen' | 'rates';
  /** 0: it has none. */
  readonly blockTokens: number;
  /** From its beginning, each time the same. */
  readonly open: () => Iterable<TraceRequest>;
}

const DAY_H = 24;
const HOUR_MS = 3_600_000;

/** A trace as a stream that can be opened again and again. Throws `invalid_request` on a path that is none. */
export function chooseTrace(flags: SimulateFlags): ChosenTrace {
  const { jitterS, rateScale, timeScale, trace: path } = flags;
  const folder = isFolder(path);
  const format = flags.format ?? formatOfPath(path, folder);
  if (folder !== (format === 'servegen')) {
    const wanted = folder ? 'a file' : 'a folder with chunk-0-trace.csv, chunk-0-dataset.json, …';
    throw new CubitError('invalid_request', `${path}: --format ${format} wants ${wanted}.`);
  }
  const [fromH, untilH] = flags.hours ?? [0, format === 'servegen' ? DAY_H : Number.MAX_SAFE_INTEGER / HOUR_MS];
  const scaling = {
    fromMs: fromH * HOUR_MS,
    untilMs: untilH * HOUR_MS,
    time: timeScale,
    rate: rateScale,
    jitterMs: 1000 * jitterS,
    seed: childSeed(flags.seed, 10),
  };
  if (format === 'servegen') {
    const clients = readClients(path);
    const options = { fromS: fromH * 3600, untilS: untilH * 3600, rateScale, seed: childSeed(flags.seed, 11) };
    const open = () => scaledStream(streamServeGen(clients, options), { ...scaling, rate: 1, jitterMs: 0 });
    return { format, blockTokens: 0, open };
  }
  if (format === 'rates') {
    const steps = parseFile(path, parseRateSteps);
    const open = () => scaledStream(streamRateSteps(steps, childSeed(flags.seed, 12)), scaling);
    return { format, blockTokens: 0, open };
  }
  const { blockTokens, parser } = FORMATS[format];
  const open = () => named(path, scaledStream(requestsOf(linesOf(path), parser()), scaling));
  return { format, blockTokens, open };
}

const FORMATS = {
  azure: { blockTokens: 0, parser: () => parseAzureLine },
  mooncake: { blockTokens: MOONCAKE_BLOCK_TOKENS, parser: () => parseMooncakeLine },
  cubit: { blockTokens: CUBIT_BLOCK_TOKENS, parser: cubitParser },
} as const;

function formatOfPath(path: string, folder: boolean): ChosenTrace['format'] {
  if (folder) return 'servegen';
  return path.endsWith('.json') ? 'rates' : formatOf(firstLineOf(path));
}

function firstLineOf(path: string): string {
  for (const line of linesOf(path)) if (line.trim() !== '') return line;
  return '';
}

/** Complaints name the file. */
function* named(path: string, requests: Iterable<TraceRequest>): Generator<TraceRequest> {
  try {
    yield* requests;
  } catch (error) {
    if (!(error instanceof CubitError)) throw error;
    throw new CubitError(error.code, `${path}: ${error.message}`, { cause: error });
  }
}

function readClients(folder: string) {
  const names = readdirSync(folder).filter((name) => /^chunk-\d+-trace\.csv$/.test(name));
  if (names.length === 0) {
    throw new CubitError('invalid_request', `${folder} has no chunk-0-trace.csv, chunk-0-dataset.json, …`);
  }
  names.sort((a, b) => Number(a.split('-')[1]) - Number(b.split('-')[1]));
  return names.map((name) => {
    const dataset = readTextFile(join(folder, name.replace('-trace.csv', '-dataset.json')));
    return parseFile(join(folder, name), (text) => parseServeGenClient(text, dataset));
  });
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (cause) {
    throw new CubitError('invalid_request', `${path} does not exist. Give a trace file or a ServeGen folder.`, {
      cause,
    });
  }
}
