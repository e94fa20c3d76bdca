import type { PriceBook } from '../../catalog/price-book.ts';

/**
 * A price book as CSV (RFC 4180): one row a template, the book's own facts on each row, or on the first alone. Discounts
 * are written `3:5 12:10.5` (months:percent). Only the section `prices` has a place here.
 */
const COLUMNS = [
  'version',
  'currency',
  'validFrom',
  'notes',
  'templateId',
  'hourly',
  'monthly',
  'penalty',
  'discounts',
] as const;
type Column = (typeof COLUMNS)[number];

const BOOK_COLUMNS = ['version', 'currency', 'validFrom', 'notes'] as const satisfies readonly Column[];

interface CsvFault {
  readonly line: number;
  readonly column: string;
  readonly message: string;
}

export interface CsvBook {
  /** As the JSON document, not validated yet. */
  readonly raw: unknown;
  /** Line of the file of each of its prices; the first has the book's own facts. */
  readonly lines: readonly number[];
  readonly faults: readonly CsvFault[];
}

interface CsvRow {
  readonly line: number;
  readonly cells: readonly string[];
}

export function readCsvBook(text: string): CsvBook {
  const { rows, faults } = csvRows(text.replace(/^\uFEFF/, ''));
  const header = (rows[0]?.cells ?? []).map((name) => name.trim());
  const missing = COLUMNS.filter((name) => name !== 'notes' && name !== 'discounts' && !header.includes(name));
  const unknown = header.filter((name) => !(COLUMNS as readonly string[]).includes(name));
  const twice = header.filter((name, index) => header.indexOf(name) !== index);
  const inHeader = [
    ...missing.map((column) => ({ column, message: 'the column is missing' })),
    ...unknown.map((column) => ({ column, message: 'there is no such column; remove it or correct its name' })),
    ...twice.map((column) => ({ column, message: 'the column is there twice' })),
  ];
  faults.push(...inHeader.map((fault) => ({ line: rows[0]?.line ?? 1, ...fault })));
  const body = rows.slice(1);
  if (faults.length > 0) return { raw: null, lines: [], faults };
  const cell = (row: CsvRow, name: Column) => (row.cells[header.indexOf(name)] ?? '').trim();
  for (const row of body) {
    if (row.cells.length === header.length) continue;
    const message = `has ${row.cells.length} cells, the header ${header.length}`;
    faults.push({ line: row.line, column: '', message });
  }
  const first = body[0];
  const book = Object.fromEntries(
    BOOK_COLUMNS.map((name) => [name, first === undefined ? '' : cell(first, name)]),
  ) as Record<(typeof BOOK_COLUMNS)[number], string>;
  for (const row of body) {
    for (const name of BOOK_COLUMNS) {
      const value = cell(row, name);
      if (value === '' || value === book[name]) continue;
      faults.push({ line: row.line, column: name, message: `is ${value}, on the first row ${book[name] || 'empty'}` });
    }
  }
  const { notes, ...facts } = book;
  const prices = body.map((row) => rawPrice((name) => cell(row, name)));
  const raw = { ...facts, ...(notes === '' ? {} : { notes }), prices };
  return { raw, lines: body.map(({ line }) => line), faults };
}

/** What is no number stays text: validation says so. */
function rawPrice(cell: (name: Column) => string): Record<string, unknown> {
  const discounts = cell('discounts')
    .split(/[\s;]+/)
    .filter((part) => part !== '')
    .map((part) => {
      const [months = '', percent = ''] = part.split(':');
      return { monthsMin: numberOr(months), percent };
    });
  return {
    templateId: cell('templateId'),
    hourly: cell('hourly'),
    monthly: cell('monthly'),
    penalty: numberOr(cell('penalty')),
    ...(discounts.length === 0 ? {} : { discounts }),
  };
}

function numberOr(text: string): number | string {
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

/** The document as CSV, its facts on the first row. */
export function writeCsvBook(book: PriceBook): string {
  const rows = book.prices.map((price, index) => {
    const facts = index === 0 ? [book.version, book.currency, book.validFrom, book.notes ?? ''] : ['', '', '', ''];
    const discounts = (price.discounts ?? []).map(({ monthsMin, percent }) => `${monthsMin}:${percent}`).join(' ');
    return [...facts, price.templateId, price.hourly, price.monthly, String(price.penalty), discounts];
  });
  return [[...COLUMNS], ...rows].map((cells) => `${cells.map(quoted).join(',')}\n`).join('');
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/** Empty lines are left out. A quoted cell may hold commas, line breaks and doubled quotes. */
function csvRows(text: string): { rows: CsvRow[]; faults: CsvFault[] } {
  const rows: CsvRow[] = [];
  const faults: CsvFault[] = [];
  let line = 1;
  let cells: string[] = [];
  let startLine = 1;
  // A cell, then what ends it: a comma, a line break, or the text's end.
  for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)|([^,\r\n]*)(,|\r\n|\n|\r|$)/g)) {
    const [whole, inQuotes, plain, end, broken, brokenEnd] = match;
    if (whole === '' && match.index === text.length && cells.length === 0) break;
    if (broken !== undefined) {
      faults.push({ line, column: '', message: `quotes are not closed, or are inside a cell: ${broken.slice(0, 40)}` });
    }
    cells.push(inQuotes?.replaceAll('""', '"') ?? plain ?? broken ?? '');
    line += (whole.match(/\r\n|\n|\r/g) ?? []).length;
    if ((end ?? brokenEnd) === ',') continue;
    if (cells.some((cell) => cell.trim() !== '')) rows.push({ line: startLine, cells });
    cells = [];
    startLine = line;
    if ((end ?? brokenEnd) === '') break;
  }
  return { rows, faults };
}
