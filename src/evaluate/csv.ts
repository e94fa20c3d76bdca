import { CubitError } from '../core/errors.ts';

/** Rows of a CSV text by column name (RFC 4180 quotes). Throws when a line has other columns than the header. */
export function parseCsv(text: string): Record<string, string>[] {
  const [header, ...lines] = records(text);
  if (!header) return [];
  return lines.map((fields, index) => {
    if (fields.length !== header.length) {
      throw new CubitError(
        'invalid_request',
        `Record ${index + 2} has ${fields.length} fields, the header has ${header.length}: correct the file.`,
      );
    }
    return Object.fromEntries(header.map((name, column) => [name, fields[column]!]));
  });
}

function records(text: string): string[][] {
  const all: string[][] = [];
  let fields: string[] = [];
  const field = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n|$)/gy;
  while (field.lastIndex < text.length) {
    const at = field.lastIndex;
    const match = field.exec(text);
    if (!match)
      throw new CubitError('invalid_request', `A quote is out of place after character ${at}: correct the file.`);
    const [, raw = '', end] = match;
    fields.push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw);
    if (end === ',') continue;
    if (fields.length > 1 || fields[0] !== '') all.push(fields);
    fields = [];
  }
  return all;
}
