import { type PriceBook, type PriceFault, readPriceBook } from '../../catalog/price-book.ts';
import { readCsvBook } from './csv.ts';

export interface FileFault {
  /** `line 4, hourly` of a CSV file, `prices[2].hourly` of a JSON one; empty: the file itself. */
  readonly where: string;
  readonly message: string;
}

export interface BookFile {
  /** null when there are faults. */
  readonly book: PriceBook | null;
  readonly faults: readonly FileFault[];
  /** The file's own facts as far as they can be read, for checks against what stands. */
  readonly facts: { readonly version?: unknown; readonly currency?: unknown; readonly validFrom?: unknown };
  /** A fault of the document at its place in the file. */
  located(fault: PriceFault): FileFault;
}

/** A price book from a file's text, with every fault of it. */
export function readBookFile(
  text: string,
  format: 'json' | 'csv' | undefined,
  templateIds: ReadonlySet<string>,
): BookFile {
  const isJson = format === undefined ? /^[\s\uFEFF]*\{/.test(text) : format === 'json';
  return isJson ? readJsonFile(text, templateIds) : readCsvFile(text, templateIds);
}

function readJsonFile(text: string, templateIds: ReadonlySet<string>): BookFile {
  const located = ({ path, message }: PriceFault) => ({ where: path, message });
  let raw: unknown;
  try {
    raw = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    const fault = { where: '', message: `it is not JSON: ${(error as Error).message}` };
    return { book: null, faults: [fault], facts: {}, located };
  }
  const { book, faults } = readPriceBook(raw, templateIds);
  return { book, faults: faults.map(located), facts: Object(raw), located };
}

function readCsvFile(text: string, templateIds: ReadonlySet<string>): BookFile {
  const csv = readCsvBook(text);
  const located = ({ path, message }: PriceFault): FileFault => {
    const [, index, field = ''] = /^prices\[(\d+)\]\.?(.*)$/.exec(path) ?? [];
    const line = csv.lines[Number(index ?? 0)];
    return { where: line === undefined ? path : `line ${line}, ${index === undefined ? path : field}`, message };
  };
  const own = csv.faults.map(({ line, column, message }) => ({
    where: column === '' ? `line ${line}` : `line ${line}, ${column}`,
    message,
  }));
  if (csv.raw === null) return { book: null, faults: own, facts: {}, located };
  const { book, faults } = readPriceBook(csv.raw, templateIds);
  return {
    book: own.length === 0 ? book : null,
    faults: [...own, ...faults.map(located)],
    facts: Object(csv.raw),
    located,
  };
}

/** By line; what is in no line stays in front, as it comes. */
export function inOrder(faults: readonly FileFault[]): FileFault[] {
  const lineOf = ({ where }: FileFault) => Number(/^line (\d+)/.exec(where)?.[1] ?? 0);
  return faults.toSorted((a, b) => lineOf(a) - lineOf(b));
}
