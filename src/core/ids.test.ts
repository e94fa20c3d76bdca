import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatIdAt, ID_BYTES } from './ids.ts';

const bytes = fc.uint8Array({ minLength: ID_BYTES, maxLength: ID_BYTES });
const instant = fc.integer({ min: 0, max: 2 ** 45 - 1 });

test("records' ids are in the order of their time, whatever their random part", () => {
  fc.assert(
    fc.property(bytes, bytes, instant, instant, (one, other, atMs, laterMs) => {
      fc.pre(atMs < laterMs);
      expect(formatIdAt('bill', one, atMs) < formatIdAt('bill', other, laterMs)).toBe(true);
    }),
  );
});

test("what tenants name says nothing of its time: endpoints' ids are random alone", () => {
  const random = new Uint8Array(ID_BYTES);
  expect(formatIdAt('endpoint', random, 1)).toBe(formatIdAt('endpoint', random, 2));
  expect(formatIdAt('bill', random, 31)).toBe('bill-00000000x0000000000000000');
});
