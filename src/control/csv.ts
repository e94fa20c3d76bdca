import { CubitError } from '../core/errors.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * The `items` of an answer as CSV (RFC 4180), a row an item, nested fields as `a.b`. Throws `invalid_request` for an
 * answer that is no list. Texts that a spreadsheet would take for a formula get a `'` in front.
 */
export function csvOf(answer: unknown): string {
  const items = (answer as { items?: unknown }).items;
  if (!Array.isArray(items)) throw new CubitError('invalid_request', 'Only lists can be had as CSV.');
  const rows = items.map((item) => flat(item as Json));
  const names = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  const lines = [
    names.map((name) => field(name)),
    ...rows.map((row) => names.map((name) => field(row.get(name) ?? null))),
  ];
  return lines.map((line) => `${line.join(',')}\r\n`).join('');
}

function flat(value: Json, path = '', into = new Map<string, Json>()): ReadonlyMap<string, Json> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return into.set(path || 'value', value);
  for (const [name, inner] of Object.entries(value)) flat(inner, path === '' ? name : `${path}.${name}`, into);
  return into;
}

function field(value: Json): string {
  if (value === null) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  const isNumber = typeof value === 'number' || /^-?\d+(\.\d+)?$/.test(text);
  const safe = !isNumber && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
