import { CubitError } from '../core/errors.ts';
import { type Fault, invalidInput, strictInput } from './input.ts';
import { schemaOf } from './openapi.ts';
import type { Verb } from './verb.ts';

export const BODY_BYTES_MAX = 1_000_000;

/** A verb's raw input from path, query and JSON body. A field may be given in one of them only. */
export async function requestInput(
  verb: Verb,
  request: Request,
  path: Readonly<Record<string, string>>,
): Promise<Record<string, unknown>> {
  const types = fieldTypes(verb);
  const input = new Map<string, unknown>();
  const faults: Fault[] = [];
  const take = (field: string, value: unknown) => {
    if (input.has(field)) faults.push({ field, message: 'is given twice' });
    input.set(field, value);
  };
  for (const [field, text] of Object.entries(path)) take(field, fromText(text, types.get(field)));
  for (const [field, text] of new URL(request.url).searchParams) take(field, fromText(text, types.get(field)));
  for (const [field, value] of Object.entries(await readBody(request))) take(field, value);
  if (faults.length > 0) throw invalidInput(faults);
  return Object.fromEntries(input);
}

const typesByVerb = new WeakMap<Verb, ReadonlyMap<string, unknown>>();

function fieldTypes(verb: Verb): ReadonlyMap<string, unknown> {
  let types = typesByVerb.get(verb);
  if (types === undefined) {
    const properties = (schemaOf(strictInput(verb), 'input')['properties'] ?? {}) as Record<string, { type?: unknown }>;
    types = new Map(Object.entries(properties).map(([field, property]) => [field, property.type]));
    typesByVerb.set(verb, types);
  }
  return types;
}

/** Query and path are text: numbers and truth values are read as what the field wants. What does not fit stays text, and the schema says so. */
function fromText(text: string, type: unknown): unknown {
  if ((type === 'integer' || type === 'number') && /^-?\d{1,16}(\.\d{1,16})?$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

async function readBody(request: Request): Promise<Record<string, unknown>> {
  const text = await readText(request);
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CubitError('invalid_json', `The body is not JSON: ${(error as SyntaxError).message}.`);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw invalidInput([{ field: '', message: 'the body has to be a JSON object' }]);
  }
  return value as Record<string, unknown>;
}

async function readText(request: Request): Promise<string> {
  if (request.body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body) {
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) {
      throw new CubitError('body_too_large', `A body here has at most ${BODY_BYTES_MAX} bytes.`);
    }
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new CubitError('invalid_json', 'The body is not UTF-8.');
  }
}
