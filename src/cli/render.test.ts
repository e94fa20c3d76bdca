import { expect, test } from 'vitest';
import { CubitError } from '../core/errors.ts';
import { render, renderError } from './render.ts';

const order = (failure: string | null) => ({
  orderId: 'ord-0123456789abcdef',
  createdAtMs: Date.UTC(2026, 3, 13, 1, 2, 3, 456),
  price: { amount: '3.600000', currency: 'CNY' },
  capacity: { freeUnits: 2 },
  failure,
});
const columns = ['orderId', 'createdAtMs', 'price', 'capacity.freeUnits', 'failure'];

test('a list is a table: times to the second, money with its currency, nested names headed by their last part', () => {
  expect(render({ items: [order(null)], nextCursor: null }, columns)).toBe(
    [
      'orderId               createdAtMs           price         freeUnits  failure',
      'ord-0123456789abcdef  2026-04-13T01:02:03Z  3.600000 CNY  2          –',
    ].join('\n'),
  );
});

test('a terminal cuts the last column, a pipe gets it whole, and no cell breaks its line', () => {
  const list = { items: [order(`A unit could not be started:\n${'because '.repeat(20)}`)], nextCursor: 'abc' };
  const [, cut = '', more] = render(list, columns, 100).split('\n');
  expect(cut).toHaveLength(100);
  expect(cut.endsWith('…')).toBe(true);
  expect(more).toBe('More: add --cursor abc');
  expect(render(list, columns)).toContain('because because '.repeat(5));
  expect(render(list, columns).split('\n')).toHaveLength(3);
});

test('anything else is an outline', () => {
  expect(render({ tenantId: 't-1', lines: [{ amount: { amount: '1.000000', currency: 'CNY' } }], none: [] })).toBe(
    'tenantId: t-1\nlines:\n  -\n    amount: 1.000000 CNY\nnone:\n  none',
  );
  expect(render({ items: [], nextCursor: null })).toBe('Nothing yet.');
});

test('one fault is a sentence, several are a list', () => {
  const error = (faults: object[]) => new CubitError('invalid_request', 'what they say', { details: { faults } });
  expect(renderError(error([{ field: 'units', message: 'is 0' }]))).toBe('cubit: what they say [invalid_request]');
  const two = [
    { field: 'line 2, hourly', message: 'is negative' },
    { field: '', message: 'it is empty' },
  ];
  expect(renderError(error(two))).toBe(
    'cubit: 2 faults [invalid_request]\n  line 2, hourly: is negative\n  it is empty',
  );
});
