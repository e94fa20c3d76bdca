/**
 * A row as the house reads it, whatever database it comes from: integers of columns named `…_micros` are bigint, all
 * others numbers. Throws RangeError where a number would not be exact.
 */
export function plainRow<R>(row: object): R {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(row)) {
    result[name] = typeof value === 'bigint' && !name.endsWith('_micros') ? toNumber(name, value) : value;
  }
  return result as R;
}

function toNumber(column: string, value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`${column} is ${value}: too large for a number`);
  return number;
}
