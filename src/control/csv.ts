import { CubitError } from '../core/errors.ts';
import { csvTable } from './document/csv.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * The `items` of an answer as CSV, a row an item, nested fields as `a.b`. Throws `invalid_request` for an answer that is
 * no list.
 */
export function csvOf(answer: unknown): string {
  const items = (answer as { items?: unknown }).items;
  if (!Array.isArray(items)) throw new CubitError('invalid_request', 'Only lists can be had as CSV.');
  const rows = items.map((item) => flat(item as Json));
  const names = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  return csvTable(
    names,
    rows.map((row) => Object.fromEntries(Array.from(row, ([name, value]) => [name, fieldOf(value)]))),
  );
}

function flat(value: Json, path = '', into = new Map<string, Json>()): ReadonlyMap<string, Json> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return into.set(path || 'value', value);
  for (const [name, inner] of Object.entries(value)) flat(inner, path === '' ? name : `${path}.${name}`, into);
  return into;
}

function fieldOf(value: Json): string | number | null {
  if (value === null || typeof value === 'number') return value;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
