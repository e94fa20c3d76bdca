import { badLine, isTokenCount, type Trace, type TraceRequest, traceOf } from './trace.ts';

const COLUMNS = 'TIMESTAMP,ContextTokens,GeneratedTokens';

/**
 * Azure's 2023 inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`, times with 100 ns digits. Throws
 * `invalid_request` on a row that is not of this form, naming its line.
 */
export function parseAzureTrace(csv: string): Trace {
  const rows: TraceRequest[] = [];
  for (const [index, line] of csv.split(/\r?\n/).entries()) {
    if (line === '' || (index === 0 && line.startsWith('TIMESTAMP'))) continue;
    const [time = '', prompt = '', output = ''] = line.split(',');
    const atMs = Date.parse(`${time.slice(0, 23).replace(' ', 'T')}Z`);
    const promptTokens = count(prompt);
    const outputTokens = count(output);
    if (!Number.isFinite(atMs) || !isTokenCount(promptTokens) || !isTokenCount(outputTokens)) {
      throw badLine(index + 1, COLUMNS, line);
    }
    rows.push({ atMs, promptTokens, outputTokens });
  }
  return traceOf(rows);
}

const count = (text: string) => (text.trim() === '' ? Number.NaN : Number(text));
