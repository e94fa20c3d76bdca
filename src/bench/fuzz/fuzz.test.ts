import { expect, it } from 'vitest';
import { seededRandom } from '../../workload/random.ts';
import { mutatedBytes } from './mutate.ts';
import { fuzz } from './run.ts';

it.each([7, 8])('1,000 mutated requests to mutated engines leave nothing behind (seed %i)', async (seed) => {
  const { faults, outcomes, receipts, stored } = await fuzz({ requests: 1_000, seed });
  expect(faults).toEqual([]);
  expect(stored).toBe(receipts);
  for (const outcome of ['completed', 'rejected_input', 'rejected_identity', 'cancelled']) {
    expect(outcomes[outcome] ?? 0).toBeGreaterThan(10);
  }
});

it('the same seed mutates the same', () => {
  const bytes = Buffer.from('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n');
  const [one, two] = [7, 7].map((seed) => {
    const random = seededRandom(seed);
    return Array.from({ length: 50 }, () => mutatedBytes(bytes, random).toString('hex'));
  });
  expect(one).toEqual(two);
  expect(new Set(one).size).toBeGreaterThan(40);
});
