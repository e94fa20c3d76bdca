import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvTable } from './csv.ts';

test('RFC 4180: a head, CRLF, quotes doubled, fields with commas and lines quoted, null empty', () => {
  expect(csvTable(['a', 'b'], [{ a: 'x,"y"', b: 'two\nlines' }, { a: null, b: 7 }, {}])).toBe(
    'a,b\r\n"x,""y""","two\nlines"\r\n,7\r\n,\r\n',
  );
});

test.each(['=1+1', '+1+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', '=HYPERLINK("http://x","y")'])(
  'a spreadsheet does not run %j',
  (text) => {
    expect(parse(csvTable(['a'], [{ a: text }]))[1]).toEqual([`'${text}`]);
  },
);

test('amounts stay numbers, negative ones too', () => {
  expect(csvTable(['a', 'b'], [{ a: '-1.500000', b: -3 }])).toBe('a,b\r\n-1.500000,-3\r\n');
});

test('what goes in comes out, whatever it is', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', '中', ';', "'") });
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text), { minLength: 1 }), (rows) => {
      const table = csvTable(
        ['a', 'b'],
        rows.map(([a, b]) => ({ a, b })),
      );
      const guarded = (field: string) => (field.startsWith('\r') ? `'${field}` : field);
      expect(parse(table).slice(1)).toEqual(rows.map((row) => row.map(guarded)));
    }),
  );
});

/** A naive reader, sign by sign. */
function parse(csv: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = '';
  let quoted = false;
  for (let i = 0; i < csv.length; i++) {
    const sign = csv[i]!;
    if (quoted && sign === '"' && csv[i + 1] === '"') field += csv[++i];
    else if (sign === '"') quoted = !quoted;
    else if (!quoted && (sign === ',' || (sign === '\r' && csv[i + 1] === '\n'))) {
      row.push(field);
      field = '';
      if (sign === ',') continue;
      rows.push(row);
      row = [];
      i += 1;
    } else field += sign;
  }
  return rows;
}
