import { setImmediate as nextTick } from 'node:timers/promises';
import { sql } from 'kysely';
import type { CubitLine } from '../../workload/cubit.ts';
import type { Db } from '../internal.ts';
import {
  cubitLineOf,
  TRAFFIC_OUTCOMES,
  type TrafficPlace,
  type TrafficWanted,
  trafficRows,
} from '../usage/trace-lines.ts';

/** Recorded traffic of one stretch of time, as lines of Cubit's own trace. */
export interface RecordedSpan {
  readonly fromMs: number;
  readonly lengthMs: number;
  readonly weight: number;
  readonly warmUpMs: number;
  readonly lines: readonly string[];
}

const BLOCK_MS = 7_200_000;
const PAGE = 2_000;
const WARM_UP_MS = 300_000;

/**
 * All recorded traffic of a span; where it is more than `requestsMax`, blocks of two hours: the busiest, which stands for
 * itself, and others spread evenly, which stand for the rest. Empty: nobody came. A block that is too large alone is cut.
 */
export async function recordedSpans(db: Db, wanted: TrafficWanted, requestsMax: number): Promise<RecordedSpan[]> {
  const counts = await blockCounts(db, wanted);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return [];
  const whole = { fromMs: wanted.fromMs, lengthMs: wanted.toMs - wanted.fromMs, weight: 1, warmUpMs: 0 };
  const spans = total <= requestsMax ? [whole] : chosenBlocks(counts, requestsMax).map((one) => blockOf(wanted, one));
  const recorded: RecordedSpan[] = [];
  let left = requestsMax;
  for (const span of spans) {
    const lines = await linesOf(db, { ...wanted, fromMs: span.fromMs, toMs: span.fromMs + span.lengthMs }, left);
    left -= lines.length;
    // One that is cut lasts as long as what is left of it.
    const isCut = left <= 0 && total > requestsMax;
    const lastMs = isCut ? (JSON.parse(lines.at(-1)!) as CubitLine).atMs : 0;
    recorded.push({ ...span, lines, ...(isCut && { lengthMs: Math.max(1_000, lastMs - span.fromMs) }) });
    if (left <= 0) break;
  }
  return recorded;
}

interface Chosen {
  readonly block: number;
  readonly weight: number;
}

/** The busiest block, and of the others every n-th so that about `requestsMax` requests are chosen. */
export function chosenBlocks(counts: readonly number[], requestsMax: number): Chosen[] {
  const busiest = counts.indexOf(Math.max(...counts));
  const others = [...counts.keys()].filter((block) => block !== busiest);
  const total = others.reduce((sum, block) => sum + counts[block]!, 0);
  const room = Math.max(0, requestsMax - counts[busiest]!);
  const wanted = total === 0 ? others.length : Math.min(others.length, Math.floor((others.length * room) / total));
  const picked = Array.from({ length: wanted }, (_, i) => others[Math.floor(((i + 0.5) * others.length) / wanted)]!);
  const weight = picked.length === 0 ? 0 : others.length / picked.length;
  return [{ block: busiest, weight: 1 }, ...picked.map((block) => ({ block, weight }))];
}

function blockOf({ fromMs, toMs }: TrafficWanted, { block, weight }: Chosen) {
  const beginMs = fromMs + block * BLOCK_MS;
  return { fromMs: beginMs, lengthMs: Math.min(BLOCK_MS, toMs - beginMs), weight, warmUpMs: WARM_UP_MS };
}

/** A day's blocks at a time, so that requests get their turn. */
async function blockCounts(db: Db, wanted: TrafficWanted): Promise<number[]> {
  const counts = Array.from({ length: Math.ceil((wanted.toMs - wanted.fromMs) / BLOCK_MS) }, () => 0);
  const dayMs = 12 * BLOCK_MS;
  for (let atMs = wanted.fromMs; atMs < wanted.toMs; atMs += dayMs) {
    const block = sql<number>`(received_at_ms - ${sql.lit(wanted.fromMs)}) / ${sql.lit(BLOCK_MS)}`;
    const rows = await db
      .selectFrom('receipts')
      .select((eb) => [block.as('block'), eb.fn.countAll<number>().as('requests')])
      .where('endpoint_id', '=', wanted.endpointId ?? '')
      .where('received_at_ms', '>=', atMs)
      .where('received_at_ms', '<', Math.min(wanted.toMs, atMs + dayMs))
      .where('served_model_id', '=', wanted.servedModelId ?? '')
      .where('outcome', 'in', TRAFFIC_OUTCOMES)
      .groupBy('block')
      .execute();
    for (const row of rows) counts[Number(row.block)] = Number(row.requests);
    await nextTick();
  }
  return counts;
}

async function linesOf(db: Db, wanted: TrafficWanted, limit: number): Promise<string[]> {
  const lines: string[] = [];
  let after: TrafficPlace | null = null;
  while (lines.length < limit) {
    const size = Math.min(PAGE, limit - lines.length);
    const rows = await trafficRows(db, wanted, after, size);
    for (const row of rows) lines.push(JSON.stringify(cubitLineOf(row, false)));
    const last = rows.at(-1);
    if (last === undefined || rows.length < size) break;
    after = { atMs: last.received_at_ms, id: last.id };
    await nextTick();
  }
  return lines;
}
