import { expect, it } from 'vitest';
import { parseCsv } from './csv.ts';

it('reads rows by column, with quotes, doubled quotes, empty fields and either line end', () => {
  expect(parseCsv('a,b,c\r\n1,"x, ""y""",\n,"two\nlines",3')).toEqual([
    { a: '1', b: 'x, "y"', c: '' },
    { a: '', b: 'two\nlines', c: '3' },
  ]);
});

it('reads nothing out of nothing, and skips empty lines', () => {
  expect(parseCsv('')).toEqual([]);
  expect(parseCsv('a,b\n\n1,2\n\n')).toEqual([{ a: '1', b: '2' }]);
});

it('says which record has too many or too few fields, and where a quote is out of place', () => {
  expect(() => parseCsv('a,b\n1,2\n3')).toThrow('Record 3 has 1 fields, the header has 2');
  expect(() => parseCsv('a,b\n1,x"y"')).toThrow('A quote is out of place after character 6');
});
