import { CubitError } from '../errors.ts';

/**
 * Money is a bigint of micro-units: 1.000000 CNY = 1_000_000n. No floating point comes near it.
 */
export const MICROS_PER_UNIT = 1_000_000n;

/** A decimal string as people write it: at most 12 digits, then at most 6 decimals. */
export const MONEY_PATTERN = /^(-?)(\d{1,12})(?:\.(\d{1,6}))?$/;

/** `"1.8"` → 1_800_000n. Throws `invalid_request` on anything else: exponents, signs other than one minus, more decimals. */
export function parseMicros(text: string): bigint {
  const [, sign, whole, decimals] = MONEY_PATTERN.exec(text) ?? [];
  if (whole === undefined) {
    throw new CubitError(
      'invalid_request',
      `"${text}" is not an amount. Write it like 12.50, with at most 6 decimals.`,
    );
  }
  const micros = BigInt(whole) * MICROS_PER_UNIT + BigInt((decimals ?? '').padEnd(6, '0'));
  return sign === '-' ? -micros : micros;
}

/** 1_800_000n → `"1.800000"`: always six decimals, so that columns line up. */
export function formatMicros(micros: bigint): string {
  const absolute = micros < 0n ? -micros : micros;
  const decimals = (absolute % MICROS_PER_UNIT).toString().padStart(6, '0');
  return `${micros < 0n ? '-' : ''}${absolute / MICROS_PER_UNIT}.${decimals}`;
}

/** The integer nearest to numerator ÷ denominator (> 0); exactly between two, the even one (IEEE 754 roundTiesToEven). */
export function roundHalfEven(numerator: bigint, denominator: bigint): bigint {
  if (denominator <= 0n) throw new RangeError('the denominator has to be positive');
  const floor = floorDivide(numerator, denominator);
  const twiceRest = 2n * (numerator - floor * denominator);
  const up = twiceRest > denominator || (twiceRest === denominator && floor % 2n !== 0n);
  return up ? floor + 1n : floor;
}

/** Rounded towards minus infinity; BigInt division alone rounds towards zero. */
export function floorDivide(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  return quotient * denominator > numerator ? quotient - 1n : quotient;
}

/**
 * Parts of `micros` in proportion to `weights` (each ≥ 0, one at least > 0) that add up to it exactly: each part is the
 * difference of the rounded running shares, so none is off by more than one micro.
 */
export function splitMicros(micros: bigint, weights: readonly bigint[]): bigint[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0n);
  if (total <= 0n || weights.some((weight) => weight < 0n)) throw new RangeError('weights have to be positive');
  let weightBefore = 0n;
  let shareBefore = 0n;
  return weights.map((weight) => {
    weightBefore += weight;
    const share = roundHalfEven(micros * weightBefore, total);
    const part = share - shareBefore;
    shareBefore = share;
    return part;
  });
}
