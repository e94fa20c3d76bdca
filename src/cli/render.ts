import { stripVTControlCharacters } from 'node:util';
import type { CubitError } from '../core/errors.ts';

/**
 * Answers for people: a table for lists, an indented outline for everything else. Pure text; `--json` goes past this.
 * `width` is the terminal's; a longer last column is cut there.
 */
type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export function render(value: unknown, columns?: readonly string[], width = Number.POSITIVE_INFINITY): string {
  const json = value as Json;
  if (isRecord(json) && Array.isArray(json['items'])) {
    const items = json['items'] as Json[];
    const more = typeof json['nextCursor'] === 'string' ? `\nMore: add --cursor ${json['nextCursor']}` : '';
    return items.length === 0 ? 'Nothing yet.' : table(items, columns, width) + more;
  }
  return outline(json, '');
}

/** A column `a.b` reaches into nested answers and is headed `b`. */
function table(items: readonly Json[], columns: readonly string[] | undefined, width: number): string {
  const records = items.map((item) => (isRecord(item) ? item : { value: item }));
  const names = columns ?? Object.keys(records[0] ?? {}).filter((name) => isScalar(records[0]?.[name] ?? null));
  const head = names.map((name) => name.split('.').at(-1) ?? '');
  const rows = records.map((record) => names.map((name) => cell(at(record, name), name)));
  const lines = grid([head, ...rows]).split('\n');
  return lines.map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line)).join('\n');
}

/** As in an outline, but one line, and times to the second. */
function cell(value: Json, name: string): string {
  return scalar(value, name)
    .replace(/\s+/g, ' ')
    .replace(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3}Z$/, '$1Z');
}

/** Columns as wide as their widest cell; the first row is the head. */
export function grid(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, text] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, stripVTControlCharacters(text).length);
    }
  }
  return rows
    .map((row) =>
      row
        .map((text, index) => pad(text, widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const pad = (text: string, width: number) =>
  text + ' '.repeat(Math.max(0, width - stripVTControlCharacters(text).length));

function outline(value: Json, indent: string): string {
  if (isScalar(value)) return indent + scalar(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return `${indent}none`;
    return value
      .map((item) => (isScalar(item) ? `${indent}- ${scalar(item)}` : `${indent}-\n${outline(item, `${indent}  `)}`))
      .join('\n');
  }
  return Object.entries(value as Record<string, Json>)
    .map(([name, item]) =>
      isScalar(item) || isMoney(item)
        ? `${indent}${name}: ${scalar(item, name)}`
        : `${indent}${name}:\n${outline(item, `${indent}  `)}`,
    )
    .join('\n');
}

/** `a.b` reaches into nested answers. */
function at(record: { readonly [name: string]: Json }, path: string): Json {
  let value: Json = record;
  for (const name of path.split('.')) value = isRecord(value) ? (value[name] ?? null) : null;
  return value;
}

function scalar(value: Json, name = ''): string {
  if (value === null) return '–';
  if (isMoney(value)) return `${value.amount} ${value.currency}`;
  if (typeof value === 'number' && /(at|from|to|until)Ms$/i.test(name)) return new Date(value).toISOString();
  if (Array.isArray(value)) return value.map((item) => scalar(item)).join(', ') || '–';
  if (typeof value === 'number' && !Number.isInteger(value)) return String(Number(value.toFixed(3)));
  if (typeof value === 'object') return JSON.stringify(value);
  return String(value);
}

function isMoney(value: Json): value is { readonly amount: string; readonly currency: string } {
  return (
    isRecord(value) &&
    typeof value['amount'] === 'string' &&
    typeof value['currency'] === 'string' &&
    Object.keys(value).length === 2
  );
}

function isRecord(value: Json): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScalar(value: Json): value is null | boolean | number | string {
  return value === null || typeof value !== 'object';
}

/** What went wrong and its code, for stderr; several faults of an input a line each. */
export function renderError(error: CubitError): string {
  const faults = error.code === 'invalid_request' ? error.details['faults'] : undefined;
  if (!Array.isArray(faults) || faults.length < 2) return `cubit: ${error.message} [${error.code}]`;
  const lines = (faults as { field: string; message: string }[]).map(
    ({ field, message }) => `  ${field === '' ? '' : `${field}: `}${message}`,
  );
  return [`cubit: ${lines.length} faults [${error.code}]`, ...lines].join('\n');
}

/** The same for programs. */
export function errorJson({ code, message, details }: CubitError): object {
  return { error: { code, message, details } };
}
