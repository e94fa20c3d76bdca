import { expect, test } from 'vitest';
import type { Receipt } from '../../core/commerce/metering.ts';
import { insertReceipts } from '../../store/receipts.ts';
import { parseCubitTrace } from '../../workload/cubit.ts';
import { OPERATOR, refusal, START_MS, testControl } from '../fixture.ts';
import { usageExport } from './export.ts';
import { receipt } from './fixture.ts';

async function recorded(changes: readonly Partial<Receipt>[]) {
  const control = await testControl();
  const receivedAtMs = control.nowMs - 60_000;
  await insertReceipts(
    control.store.db,
    changes.map((change, i) => receipt(i, { receivedAtMs: receivedAtMs + Math.floor(i / 2), ...change })),
  );
  return control;
}

test('pages follow each other without a gap or a double, however many share an instant', async () => {
  const control = await recorded(Array.from({ length: 25 }, () => ({})));
  let cursor: string | undefined;
  let text = '';
  let pages = 0;
  do {
    const page = await control.call(usageExport, OPERATOR, { limit: 4, ...(cursor !== undefined && { cursor }) });
    text += page.trace;
    cursor = page.nextCursor ?? undefined;
    pages += 1;
  } while (cursor !== undefined);
  expect(pages).toBe(7);
  const { requests } = parseCubitTrace(text);
  expect(requests).toHaveLength(25);
  expect(requests[0]).toMatchObject({ atMs: 0, promptTokens: 100, outputTokens: 20 });
});

test('names are hashed unless asked for, what asked for no capacity is left out, refusals have no output', async () => {
  const control = await recorded([
    { outcome: 'rejected_input' },
    { outcome: 'dry_run' },
    { outcome: 'rejected_capacity', promptTokens: 0, cachedTokens: 0, outputTokens: 0 },
    { endpointId: 'ep-2' },
    { receivedAtMs: START_MS - 8 * 86_400_000 },
  ]);
  const lines = async (input: object) =>
    (await control.call(usageExport, OPERATOR, input)).trace
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as Record<string, unknown>);
  const hashed = await lines({});
  expect(hashed.map((row) => row['outputTokens'])).toEqual([null, 20]);
  expect(JSON.stringify(hashed)).not.toMatch(/key-1|ep-1|t-1/);
  expect(await lines({ ids: 'plain', endpointId: 'ep-2' })).toMatchObject([{ key: 'key-1', endpoint: 'ep-2' }]);
});

test('a span that ends before it begins is refused', async () => {
  const control = await testControl();
  expect((await refusal(control.call(usageExport, OPERATOR, { fromMs: 2, toMs: 1 }))).code).toBe('invalid_request');
});
