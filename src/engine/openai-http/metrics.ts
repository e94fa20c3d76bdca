import type { EngineDialect, EngineMetrics } from '../port.ts';
import { DIALECTS } from './dialects.ts';

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(\S+)/;

/** Values of each metric by name, one for each label set, from Prometheus' text format. Lines that are none are skipped. */
export function parsePrometheus(text: string): ReadonlyMap<string, readonly number[]> {
  const values = new Map<string, number[]>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name, number] = SAMPLE.exec(line) ?? [];
    if (name === undefined || number === undefined) continue;
    const value = Number(number);
    if (!Number.isFinite(value)) continue;
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else known.push(value);
  }
  return values;
}

/**
 * An engine's metrics in one shape: counts and totals summed over label sets (data-parallel ranks), the KV share as
 * their mean. null when the text has none of the engine's own gauges.
 */
export function engineMetrics(text: string, dialect: EngineDialect): EngineMetrics | null {
  const names = DIALECTS[dialect].metrics;
  if (names === null) return null;
  const values = parsePrometheus(text);
  const find = (of: readonly string[]): readonly number[] | undefined =>
    of.map((name) => values.get(name)).find((found) => found !== undefined);
  const sum = (of: readonly string[]): number | null => find(of)?.reduce((total, value) => total + value, 0) ?? null;
  const running = sum(names.running);
  const kvUsed = find(names.kvUsedShare);
  if (running === null) return null;
  return {
    running,
    waiting: sum(names.waiting) ?? 0,
    kvUsedShare: kvUsed === undefined ? null : kvUsed.reduce((total, value) => total + value, 0) / kvUsed.length,
    promptTokensTotal: sum(names.promptTokensTotal),
    cachedTokensTotal: sum(names.cachedTokensTotal),
    outputTokensTotal: sum(names.outputTokensTotal),
  };
}
