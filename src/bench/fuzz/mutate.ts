import type { Random } from '../../workload/random.ts';

export function below(random: Random, count: number): number {
  return Math.floor(random() * count);
}

export function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[below(random, values.length)] as T;
}

/** Bytes that parsers trip over. */
const NASTY = [
  '\r\n',
  '\n',
  '\0',
  '\xff',
  '"',
  '{',
  '}',
  '[',
  ']',
  ':',
  ' ',
  '0',
  '-',
  '\r\n\r\n',
  'data:',
  '1e400',
  '\\ud800',
];

/** Up to three changes of bytes: flipped, cut out, said twice, put in, or the end cut off. */
export function mutatedBytes(bytes: Buffer, random: Random): Buffer {
  let mutated = bytes;
  for (let change = below(random, 3); change >= 0; change -= 1) {
    const at = below(random, mutated.length + 1);
    const end = Math.min(mutated.length, at + below(random, 16));
    const [before, cut, after] = [mutated.subarray(0, at), mutated.subarray(at, end), mutated.subarray(end)];
    const how = below(random, 5);
    if (how === 0) mutated = Buffer.concat([before, cut.map((byte) => byte ^ (1 << below(random, 8))), after]);
    else if (how === 1) mutated = Buffer.concat([before, after]);
    else if (how === 2) mutated = Buffer.concat([before, cut, cut, after]);
    else if (how === 3) mutated = Buffer.concat([before, Buffer.from(oneOf(random, NASTY), 'latin1'), cut, after]);
    else mutated = before;
  }
  return mutated;
}

/** Values that are hard for whoever expects another. */
export const ODD: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  -1e308,
  2 ** 53,
  Number.MAX_SAFE_INTEGER,
  '',
  'x',
  '\0',
  '\ud800',
  [],
  {},
  [[]],
  [null],
  { a: { b: {} } },
  'x'.repeat(5_000),
  Array(200).fill(0),
  '__proto__',
  [1, 'a', null],
];
