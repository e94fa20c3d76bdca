import type { z } from 'zod';
import { monthOf } from '../core/commerce/term.ts';
import { CubitError } from '../core/errors.ts';
import type { Verb } from './verb.ts';

export interface Fault {
  /** Dotted path of the field, empty for the input itself. */
  readonly field: string;
  readonly message: string;
}

const strictForms = new WeakMap<Verb, z.ZodObject>();

/** The verb's input, unknown fields refused. */
export function strictInput(verb: Verb): z.ZodObject {
  let strict = strictForms.get(verb);
  if (strict === undefined) {
    strict = verb.input.strict();
    strictForms.set(verb, strict);
  }
  return strict;
}

/** Validated input. Throws `invalid_request` that names every faulty field. */
export function readInput(verb: Verb, raw: unknown): z.output<z.ZodObject> {
  const result = strictInput(verb).safeParse(raw);
  if (result.success) return result.data;
  throw invalidInput(result.error.issues.flatMap(faultsOf));
}

export function invalidInput(faults: readonly Fault[]): CubitError {
  const message = faults.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('; ');
  return new CubitError('invalid_request', message, { details: { faults } });
}

/** For rules that a schema cannot say (they need the catalogue or the store). */
export function invalidField(field: string, message: string): CubitError {
  return invalidInput([{ field, message }]);
}

/** [fromMs, toMs) of the input's `month` in a zone. Throws `invalid_request` on what is no month. */
export function readMonth(month: string, zone: string): { readonly fromMs: number; readonly toMs: number } {
  try {
    return monthOf(month, zone);
  } catch {
    throw invalidField('month', `${month} is no month`);
  }
}

function faultsOf(issue: z.core.$ZodIssue): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ field: [...issue.path, key].join('.'), message: 'there is no such field' }));
  }
  return [{ field: issue.path.join('.'), message: issue.message }];
}
