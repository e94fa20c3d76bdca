import { z } from 'zod';
import { monthAt } from '../../core/commerce/term.ts';
import { invalidField, readMonth } from '../input.ts';
import { EpochMs } from '../schemas.ts';
import type { Span } from './supply.ts';

/** A month of 31 days with an hour more where clocks are set back. */
const SPAN_MS_MAX = 31 * 86_400_000 + 3_600_000;

export const Period = {
  month: z
    .string()
    .regex(/^\d{4}-\d\d$/, 'a month such as 2026-04')
    .optional()
    .describe("As in 2026-04, of the tenant's zone; the running month when nothing is said"),
  fromMs: EpochMs.optional().describe('Instead of a month: from here, a month at most'),
  toMs: EpochMs.optional().describe('Up to here; now when left out'),
};

/** Throws `invalid_request`. */
export function readPeriod(
  input: { month?: string | undefined; fromMs?: number | undefined; toMs?: number | undefined },
  zone: string,
  nowMs: number,
): Span {
  const { month, fromMs, toMs } = input;
  if (fromMs === undefined) {
    if (toMs !== undefined) throw invalidField('toMs', 'needs fromMs');
    return readMonth(month ?? monthAt(nowMs, zone), zone);
  }
  if (month !== undefined) throw invalidField('month', 'say either month or fromMs and toMs');
  const span = { fromMs, toMs: toMs ?? nowMs };
  if (span.toMs < fromMs || span.toMs - fromMs > SPAN_MS_MAX)
    throw invalidField('fromMs', 'at most 31 days before toMs');
  return span;
}
