import { badLine, isTokenCount, type Trace, type TraceRequest, traceOf } from './trace.ts';

const COLUMNS = 'TIMESTAMP,ContextTokens,GeneratedTokens';

/**
 * Azure's 2023 inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`, times with 100 ns digits. Throws
 * `invalid_request` on a row that is not of this form, naming its line.
 */
export function parseAzureTrace(csv: string): Trace {
  const rows: TraceRequest[] = [];
  for (const [index, line] of csv.split(/\r?\n/).entries()) {
    const row = parseAzureLine(line, index);
    if (row !== null) rows.push(row);
  }
  return traceOf(rows);
}

/** One line, `index` from 0; null for the header and an empty line. Times since 1970. */
export function parseAzureLine(line: string, index: number): TraceRequest | null {
  if (line === '' || (index === 0 && line.startsWith('TIMESTAMP'))) return null;
  const [time = '', prompt = '', output = ''] = line.split(',');
  const atMs = Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`);
  const promptTokens = count(prompt);
  const outputTokens = count(output);
  if (Number.isFinite(atMs) && isTokenCount(promptTokens) && isTokenCount(outputTokens)) {
    return { atMs, promptTokens, outputTokens };
  }
  throw badLine(index + 1, COLUMNS, line);
}

const count = (text: string) => (text.trim() === '' ? Number.NaN : Number(text));
