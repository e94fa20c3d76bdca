/** An amount or a count, as it is written everywhere: it may begin with a minus. */
const NUMBER = /^-?\d+(\.\d+)?$/;
/** What spreadsheets take for a formula. */
const FORMULA = /^[=+\-@\t\r]/;

/**
 * A table as RFC 4180 has it: CRLF, quotes where they are needed, the head first. A text that a spreadsheet would run as
 * a formula gets an apostrophe before it; numbers do not. null is an empty field.
 */
export function csvTable<C extends string>(
  columns: readonly C[],
  rows: readonly Readonly<Partial<Record<C, string | number | null>>>[],
): string {
  const lines = rows.map((row) => columns.map((column) => field(row[column] ?? null)).join(','));
  return [columns.map(field).join(','), ...lines].map((line) => `${line}\r\n`).join('');
}

function field(value: string | number | null): string {
  if (value === null) return '';
  const text = String(value);
  const isNumber = typeof value === 'number' || NUMBER.test(text);
  const safe = !isNumber && FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
