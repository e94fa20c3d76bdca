import { CubitError } from '../../core/errors.ts';
import type { LengthClass } from '../../core/serving/unit/mix.ts';

const COLUMNS = ['input', 'output', 'count'] as const;

/** CSV with a header of input, output, count and perhaps cached, in any order. Throws `invalid_request`, naming the line. */
export function parseHistogram(csv: string, path: string): LengthClass[] {
  const lines = csv.split(/\r?\n/);
  const header = (lines[0] ?? '').split(',').map((name) => name.trim().toLowerCase());
  const at = (name: string) => header.indexOf(name);
  if (COLUMNS.some((name) => at(name) < 0)) {
    throw bad(
      `${path} wants a header of input,output,count and perhaps cached, not “${(lines[0] ?? '').slice(0, 80)}”`,
    );
  }
  const rows = lines.flatMap((line, index): LengthClass[] => {
    if (index === 0 || line.trim() === '') return [];
    const cells = line.split(',');
    const number = (name: string) => {
      const text = (cells[at(name)] ?? '').trim();
      const value = Number(text);
      if (text !== '' && value >= 0 && Number.isFinite(value)) return value;
      throw bad(`${path}, line ${index + 1}: ${name} wants a number of 0 or more, not “${text}”`);
    };
    const weight = number('count');
    const cachedTokens = at('cached') < 0 ? 0 : number('cached');
    return weight === 0
      ? []
      : [{ promptTokens: number('input'), outputTokens: number('output'), cachedTokens, weight }];
  });
  if (rows.length === 0) throw bad(`${path} has no requests`);
  return rows;
}

/** 24 numbers, by line, comma or space, or as a JSON list. Throws `invalid_request`. */
export function parseShape(text: string, path: string): number[] {
  const parts = text
    .replace(/[[\]]/g, ' ')
    .split(/[\s,;]+/)
    .filter((part) => part !== '');
  const factors = parts.map(Number);
  if (factors.length === 24 && factors.every((factor) => factor >= 0 && Number.isFinite(factor))) return factors;
  throw bad(`${path} wants 24 numbers of 0 or more, from midnight on; it has ${parts.length}`);
}

function bad(message: string): CubitError {
  return new CubitError('invalid_request', message);
}
