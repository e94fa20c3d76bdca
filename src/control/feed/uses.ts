import { z } from 'zod';
import type { RateUse } from '../../core/serving/rate-limit.ts';

const count = z.number().nonnegative();

/** By limiter, what was used of it in the last minute: requests, tokens, unit-microseconds, requests on their way. */
export const WireUses = z.record(z.string().max(200), z.tuple([count, count, count, count])).default({});
export type WireUses = z.output<typeof WireUses>;

export function wireOf(uses: ReadonlyMap<string, RateUse>): WireUses {
  return Object.fromEntries(
    Array.from(uses, ([name, { requests, tokens, workUs, running }]) => [name, [requests, tokens, workUs, running]]),
  );
}

export function usesOf(wire: WireUses): ReadonlyMap<string, RateUse> {
  return new Map(
    Object.entries(wire).map(([name, [requests, tokens, workUs, running]]) => [
      name,
      { requests, tokens, workUs, running },
    ]),
  );
}

/** What all of these gateways let in together. */
export function sumOf(gateways: readonly WireUses[]): WireUses {
  const sums: WireUses = {};
  for (const uses of gateways) {
    for (const [name, use] of Object.entries(uses)) {
      const sum = sums[name] ?? [0, 0, 0, 0];
      sums[name] = [sum[0] + use[0], sum[1] + use[1], sum[2] + use[2], sum[3] + use[3]];
    }
  }
  return sums;
}
