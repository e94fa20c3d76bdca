import {
  type Traffic,
  type TrafficRow,
  trafficOfAverages,
  trafficOfMix,
  trafficOfRows,
} from '../../core/serving/calculator/traffic.ts';
import { factsOf } from '../../workload/trace.ts';
import { invalidField, invalidInput } from '../input.ts';
import type { CalculatorQuestion } from './schemas.ts';

/** A request of a trace as the simulator takes it. */
export interface TraceRow extends TrafficRow {
  readonly blocks?: readonly number[];
}

export interface AskedTraffic {
  readonly traffic: Traffic;
  /** Requests one by one, to be simulated; null where there are none. */
  readonly rows: readonly TraceRow[] | null;
  readonly notes: readonly string[];
}

/** A hole of an hour in a trace and a tenth of its length is more likely a fault of the record than silence. */
const GAP_MS_MIN = 3_600_000;
const GAP_SHARE_MIN = 0.1;

/** Exactly one way to say the traffic: means, a histogram, a trace or `recorded` rows. Throws `invalid_request`. */
export function askedTraffic(question: CalculatorQuestion, recorded: readonly TraceRow[] | null): AskedTraffic {
  const { cachedShare, histogram, outputTokens, promptTokens, requestsPerMinute, spread, trace } = question;
  const hourlyFactors = question.hourlyFactors ?? null;
  const said = [promptTokens ?? outputTokens, histogram, trace, question.endpointId].filter((way) => way !== undefined);
  if (said.length !== 1) {
    throw invalidInput([
      {
        field: '',
        message:
          'say the traffic in exactly one way: requestsPerMinute with promptTokens and outputTokens, ' +
          'requestsPerMinute with a histogram, a trace, or endpointId for what it served',
      },
    ]);
  }
  if (recorded !== null) return { ...rowTraffic(recorded, hourlyFactors), rows: null };
  if (trace !== undefined) return traceTraffic(trace, question.blockTokens, hourlyFactors);
  if (requestsPerMinute === undefined) throw invalidField('requestsPerMinute', 'is missing: how many are there?');
  if (histogram !== undefined) {
    return { traffic: trafficOfMix(histogram, requestsPerMinute, hourlyFactors), rows: null, notes: [] };
  }
  if (promptTokens === undefined) throw invalidField('promptTokens', 'is missing: how long is the input?');
  if (outputTokens === undefined) throw invalidField('outputTokens', 'is missing: how long is the output?');
  const means = { requestsPerMinute, promptTokens, outputTokens, cachedShare };
  const traffic = trafficOfAverages({ ...means, spread: { prompt: spread, output: spread }, hourlyFactors });
  return { traffic, rows: null, notes: [] };
}

/** A trace that says which blocks its prompts share: formulas take what a cache without limit would serve. */
function traceTraffic(
  trace: readonly TraceRow[],
  blockTokens: number,
  hourlyFactors: readonly number[] | null,
): AskedTraffic {
  if (blockTokens === 0 || trace.every(({ blocks }) => blocks === undefined)) return rowTraffic(trace, hourlyFactors);
  const asked = rowTraffic(withSharedPrefixes(trace, blockTokens), hourlyFactors);
  const note = 'formulas take the hits of a cache without limit; the simulation has each unit’s own cache';
  return { ...asked, notes: [...asked.notes, note] };
}

function withSharedPrefixes(trace: readonly TraceRow[], blockTokens: number): TraceRow[] {
  const seen = new Set<number>();
  return trace
    .toSorted((a, b) => a.atMs - b.atMs)
    .map((row) => {
      const blocks = row.blocks ?? [];
      const first = blocks.findIndex((block) => !seen.has(block));
      const hits = first < 0 ? blocks.length : first;
      for (const block of blocks) seen.add(block);
      // The last token is always computed: it is what the first answer comes from.
      return { ...row, cachedTokens: Math.max(0, Math.min(hits * blockTokens, row.promptTokens - 1)) };
    });
}

function rowTraffic(given: readonly TraceRow[], hourlyFactors: readonly number[] | null): AskedTraffic {
  const notes: string[] = [];
  const late = given.filter((row, index) => index > 0 && row.atMs < (given[index - 1]?.atMs ?? row.atMs)).length;
  if (late > 0) notes.push(`${late} of ${given.length} rows came before the row above them: sorted by time`);
  const sorted = given.toSorted((a, b) => a.atMs - b.atMs);
  const empty = sorted.filter(({ outputTokens }) => outputTokens < 1).length;
  if (empty > 0) notes.push(`${empty} requests without output were counted with one token`);
  const rows = sorted.map((row) => ({ ...row, outputTokens: Math.max(1, row.outputTokens) }));
  const { gapFromMs, gapMsMax, spanMs } = factsOf({ requests: rows, blockTokens: 0, repairs: [] });
  const startMs = rows[0]?.atMs ?? 0;
  if (gapMsMax >= GAP_MS_MIN && gapMsMax >= GAP_SHARE_MIN * (spanMs - startMs)) {
    const [hours, at] = [gapMsMax, gapFromMs - startMs].map((ms) => (ms / 3_600_000).toFixed(1));
    notes.push(`nothing arrives for ${hours} h from ${at} h on: if that is a hole in the record, the rate is higher`);
  }
  const measured = trafficOfRows(rows);
  const traffic =
    hourlyFactors === null ? measured : trafficOfMix(measured.mix, measured.requestsPerS * 60, hourlyFactors);
  return { traffic, rows, notes };
}
