import { CubitError } from '../core/errors.ts';

/** What is wrong with a model's file, for the tenant who brought it: ends a sentence that begins with the file. */
export class Faulty extends Error {
  override readonly name = 'Faulty';
}

export function tooLarge(bytesMax: number): CubitError {
  return new CubitError('body_too_large', `A model's file may have ${bytesMax} bytes at most on this platform.`);
}
